variable "name" {
  description = "Prefix of the names of everything that is created here, such as quarterdeck-prod-eu-central-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,45}$", var.name))
    error_message = "The name must be 2 to 46 lower-case letters, digits and hyphens and begin with a letter."
  }
}

variable "environment" {
  description = "The environment whose instances are backed up: those with the tag Name=quarterdeck-<environment>, which the modules host and fleet give them."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,31}$", var.environment))
    error_message = "The environment must be up to 32 lower-case letters, digits and hyphens and begin with a letter, such as dev or prod."
  }
}

variable "snapshots" {
  description = "Whether the environment's instances are copied once a day."
  type        = bool
  default     = false
}

variable "kind" {
  description = "What a copy is: snapshot (of all volumes of an instance, taken at one moment) or image (an AMI that starts as it is)."
  type        = string
  default     = "snapshot"

  validation {
    condition     = contains(["snapshot", "image"], var.kind)
    error_message = "kind must be snapshot or image."
  }
}

variable "schedule_cron" {
  description = "When copies are made, in UTC, as EventBridge's six fields without the word cron: minutes, hours, day, month, weekday, year."
  type        = string
  default     = "15 3 * * ? *"

  validation {
    condition     = can(regex("^[0-9A-Za-z*?,/#-]+( [0-9A-Za-z*?,/#-]+){5}$", var.schedule_cron))
    error_message = "schedule_cron must have six fields, such as \"15 3 * * ? *\" for 03:15 UTC every day."
  }
}

variable "keep_days" {
  description = "For how many days a copy is kept; with one copy a day this is also how many there are."
  type        = number
  default     = 7

  validation {
    condition     = var.keep_days >= 1 && var.keep_days <= 365 && floor(var.keep_days) == var.keep_days
    error_message = "keep_days must be a whole number from 1 to 365: with 0 there would be no backup at all."
  }
}

variable "state_replication" {
  description = "Copies every version of Terraform's state from its bucket to one in a second region (module state_replica); null: no copy."
  type = object({
    bucket_name         = string
    kms_key_arn         = string
    replica_bucket_arn  = string
    replica_kms_key_arn = string
  })
  default = null

  validation {
    condition     = var.state_replication == null ? true : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_replication.bucket_name))
    error_message = "state_replication.bucket_name must be the name of the state bucket, as `make -C infra bootstrap` wrote it to infra/backend.hcl."
  }

  validation {
    condition     = var.state_replication == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.state_replication.kms_key_arn))
    error_message = "state_replication.kms_key_arn must be the ARN of the state bucket's key (arn:aws:kms:<region>:<account>:key/<id>): without it the copies could not be read."
  }
}

variable "image_replication_regions" {
  description = "Regions to which every image that is pushed to ECR from now on is copied, so that a second region can start them; empty: none. One list an account and region: it replaces the one there is."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for region in var.image_replication_regions : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region))])
    error_message = "image_replication_regions must be names of AWS regions, such as eu-west-1."
  }
}

variable "permissions_boundary_arn" {
  description = "The boundary that the apply role demands of every role (output workload_boundary_arn of identity); null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy, or null."
  }
}
