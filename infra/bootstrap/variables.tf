variable "region" {
  description = "The region of the state bucket, such as eu-central-1. It need not be a region that anything else runs in."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[1-9]$", var.region))
    error_message = "region must be the name of an AWS region, such as eu-central-1."
  }
}

variable "bucket_name" {
  description = "The state bucket's name; null: quarterdeck-state-<account id>, which is the same at every run."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must have 3 to 63 of a-z, 0-9 and hyphens, with no hyphen at either end; leave it out for the usual name."
  }
}

variable "noncurrent_days" {
  description = "How many days an earlier version of a state is kept: so long can a damaged one be put back."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 7 && var.noncurrent_days <= 365 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days must be a whole number from 7 to 365: damage is often noticed only days later."
  }
}

variable "lock_table" {
  description = "Also make a DynamoDB table for locks. Only for Terraform before 1.10, which does not know locks in S3."
  type        = bool
  default     = false
}

variable "adopt" {
  description = "What exists already and is taken into the state instead of being made; bootstrap.py finds it out."
  type = object({
    bucket     = optional(string)
    kms_key_id = optional(string)
    kms_alias  = optional(string)
    lock_table = optional(string)
  })
  default = {}

  validation {
    condition     = var.adopt.kms_key_id == null || can(regex("^(mrk-)?[0-9a-f-]{32,36}$", var.adopt.kms_key_id))
    error_message = "adopt.kms_key_id must be the id of a KMS key (not its alias or ARN), such as 1234abcd-12ab-34cd-56ef-1234567890ab."
  }
}
