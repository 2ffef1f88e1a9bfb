variable "repositories" {
  description = "The image repositories to make. The build workflow and the bot's configuration know them as app and bot."
  type        = set(string)
  default     = ["app", "bot"]

  validation {
    condition     = length(var.repositories) > 0
    error_message = "repositories is empty: name at least one, such as app."
  }
  validation {
    condition     = alltrue([for name in var.repositories : can(regex("^[a-z0-9]+(?:[._/-][a-z0-9]+)*$", name)) && length(name) >= 2 && length(name) <= 256])
    error_message = "Each of repositories must have 2 to 256 of a-z, 0-9 and single . _ - / between them, such as app or harbour/app."
  }
}

variable "keep_images" {
  description = "How many tagged images of a repository are kept, the newest; older ones can no longer be rolled back to."
  type        = number
  default     = 30

  validation {
    condition     = var.keep_images >= 10 && var.keep_images <= 1000 && floor(var.keep_images) == var.keep_images
    error_message = "keep_images must be a whole number from 10 to 1000: with fewer the image that serves could be deleted under it."
  }
}

variable "untagged_days" {
  description = "After how many days an image without a tag is deleted."
  type        = number
  default     = 7

  validation {
    condition     = var.untagged_days >= 1 && var.untagged_days <= 365 && floor(var.untagged_days) == var.untagged_days
    error_message = "untagged_days must be a whole number from 1 to 365."
  }
}

variable "force_delete" {
  description = "Whether destroying a repository also deletes the images in it. For trials only."
  type        = bool
  default     = false
}
