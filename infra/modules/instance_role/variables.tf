variable "name" {
  description = "Prefix of the role's name, such as quarterdeck-dev; the role is <name>-instance, and by that name the bot's role knows it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,47}$", var.name))
    error_message = "The name must be 2 to 48 lower-case letters, digits and hyphens and begin with a letter."
  }
}

variable "environment" {
  description = "The one environment that the host serves: its parameters, data and backups, and nobody else's."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,15}$", var.environment)) && !contains(["control", "host", "deployed"], var.environment)
    error_message = "The environment must be 1 to 16 lower-case letters, digits and hyphens, beginning with a letter, and not control, host or deployed, which name other things."
  }
}

variable "repository_arns" {
  description = "The image repositories that the host may pull from, by name."
  type        = map(string)

  validation {
    condition     = length(var.repository_arns) > 0 && alltrue([for arn in values(var.repository_arns) : can(regex("^arn:aws:ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9._/-]+$", arn))])
    error_message = "repository_arns must hold at least one full ARN of an ECR repository, without wildcards."
  }
}

variable "parameter_prefix" {
  description = "Where the environment's parameters lie, such as /quarterdeck/dev. What serves is noted beside it, in /quarterdeck/deployed/dev."
  type        = string

  validation {
    condition     = can(regex("^/[a-z][a-z0-9-]*/[a-z][a-z0-9-]*$", var.parameter_prefix))
    error_message = "parameter_prefix must be /PROJECT/ENVIRONMENT, such as /quarterdeck/dev: a shorter one would open other environments' secrets."
  }

  validation {
    condition     = endswith(var.parameter_prefix, "/${var.environment}")
    error_message = "parameter_prefix must end with the environment, or the host would read another environment's secrets."
  }
}

variable "artifacts_bucket_arn" {
  description = "The bucket of monitoring bundles, backups and application data."
  type        = string

  validation {
    condition     = can(regex("^arn:aws:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.artifacts_bucket_arn))
    error_message = "artifacts_bucket_arn must be the ARN of one bucket, arn:aws:s3:::NAME, with nothing after the name."
  }
}

variable "artifacts_kms_key_arn" {
  description = "The key that encrypts the bucket of artifacts."
  type        = string

  validation {
    condition     = can(regex("^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.artifacts_kms_key_arn))
    error_message = "artifacts_kms_key_arn must be the ARN of one KMS key (arn:aws:kms:REGION:ACCOUNT:key/ID): an alias is not accepted in a policy."
  }
}

variable "log_group_arns" {
  description = "The log groups that the host writes to, by any key (the output of the observability module), without :* at the end."
  type        = map(string)

  validation {
    condition     = length(var.log_group_arns) > 0 && alltrue([for arn in values(var.log_group_arns) : can(regex("^arn:aws:logs:[a-z0-9-]+:[0-9]{12}:log-group:[A-Za-z0-9._/#-]+$", arn))])
    error_message = "log_group_arns must hold at least one full ARN of a log group, without wildcards and without :* at the end."
  }
}

variable "metric_namespaces" {
  description = "The CloudWatch namespaces that the host may put metrics into."
  type        = set(string)
  default     = ["Quarterdeck", "Quarterdeck/Host"]

  validation {
    condition     = length(var.metric_namespaces) > 0 && alltrue([for name in var.metric_namespaces : can(regex("^[A-Za-z][A-Za-z0-9/_.-]{0,254}$", name)) && !startswith(name, "AWS/")])
    error_message = "metric_namespaces must hold at least one plain namespace; those that begin with AWS/ belong to AWS."
  }
}

variable "bot_role_arn" {
  description = "The bot's role, only on the host that the bot runs on; null: the bot does not run here."
  type        = string
  default     = null

  validation {
    condition     = var.bot_role_arn == null || can(regex("^arn:aws:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", var.bot_role_arn))
    error_message = "bot_role_arn must be the ARN of one role, without wildcards, or null where the bot does not run."
  }
}

variable "watches" {
  description = "Whether Prometheus runs here and looks for its targets by EC2: the host may then list the region's instances, and nothing else of EC2."
  type        = bool
  default     = false
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "The boundary that the apply role demands of every role (output workload_boundary_arn of identity); null where a person with administrator rights applies."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws:iam::[0-9]{12}:policy/[A-Za-z0-9+=,.@_/-]+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of one policy, or null."
  }
}
