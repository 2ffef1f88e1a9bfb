variable "name_prefix" {
  description = "What the documents' names begin with, in the place of the quarterdeck of their files. The bot looks for quarterdeck-deploy and quarterdeck-status unless its configuration says otherwise."
  type        = string
  default     = "quarterdeck"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,40}[a-z0-9]$", var.name_prefix))
    error_message = "name_prefix must have 3 to 42 of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen."
  }
  validation {
    condition     = !can(regex("^(aws|amazon|amzn)", lower(var.name_prefix)))
    error_message = "name_prefix must not begin with aws, amazon or amzn: Systems Manager keeps those names for itself."
  }
}

variable "folder" {
  description = "The folder of the documents' YAML files; null: infra/host/ssm of this checkout."
  type        = string
  default     = null

  validation {
    condition     = var.folder == null || try(length(fileset(var.folder, "*.yaml")) > 0, false)
    error_message = "There is no *.yaml in folder: it must name a folder with SSM documents."
  }
}
