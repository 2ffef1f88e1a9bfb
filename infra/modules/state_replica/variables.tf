variable "bucket_name" {
  description = "Name of the bucket for the copies; all of AWS shares these names, so derive it from the state bucket's."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must be 3 to 63 lower-case letters, digits and hyphens, such as quarterdeck-state-123456789012-replica."
  }
}

variable "noncurrent_days" {
  description = "For how many days a version of the state is kept after a newer one came."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days must be a whole number of at least 1: the copies are there to go back to."
  }
}

variable "force_destroy" {
  description = "Whether destroying also deletes the copies. Leave false except where they are worth nothing."
  type        = bool
  default     = false
}
