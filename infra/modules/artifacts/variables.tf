variable "name" {
  description = "What the bucket's name begins with; it becomes <name>-artifacts-<account id>-<region>."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 24 of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen: the bucket's name is made of it."
  }
}

variable "backup_retention_days" {
  description = "How many days a backup of the bot's database is kept."
  type        = number
  default     = 30

  validation {
    condition     = var.backup_retention_days >= 7 && var.backup_retention_days <= 3650 && floor(var.backup_retention_days) == var.backup_retention_days
    error_message = "backup_retention_days must be a whole number from 7 to 3650: a week is the least in which damage is noticed."
  }
}

variable "noncurrent_days" {
  description = "How many days an object is kept that was replaced or deleted."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1 && var.noncurrent_days <= 365 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days must be a whole number from 1 to 365."
  }
}

variable "force_destroy" {
  description = "Whether destroying the bucket also deletes what is in it, backups included. For trials only."
  type        = bool
  default     = false
}
