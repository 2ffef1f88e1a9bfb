variable "name" {
  description = "Prefix of the names of the roles, such as quarterdeck."
  type        = string
  default     = "quarterdeck"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,35}$", var.name))
    error_message = "The name must be 2 to 36 lower-case letters, digits and hyphens and begin with a letter."
  }
}

variable "project" {
  description = "What everything of an environment is named after: <project>-<environment>-..., parameters /<project>/<environment>/..., and the value of the tag Project."
  type        = string
  default     = "quarterdeck"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.project))
    error_message = "The project must be 2 to 20 lower-case letters, digits and hyphens and begin with a letter."
  }
}

variable "github_repository" {
  description = "The one repository whose workflows may push images, as owner/name, exactly as GitHub spells it."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$", var.github_repository))
    error_message = "github_repository must be owner/name, such as your-team/your-repository, without wildcards and without https://."
  }
}

variable "github_owner_id" {
  description = "The number of the repository's owner at GitHub (gh api repos/OWNER/NAME --jq .owner.id). It stays when the owner is renamed."
  type        = string

  validation {
    condition     = can(regex("^[1-9][0-9]{0,18}$", var.github_owner_id))
    error_message = "github_owner_id must be the owner's number: gh api repos/OWNER/NAME --jq .owner.id"
  }
}

variable "github_repository_id" {
  description = "The number of the repository at GitHub (gh api repos/OWNER/NAME --jq .id). It stays when the repository is renamed."
  type        = string

  validation {
    condition     = can(regex("^[1-9][0-9]{0,18}$", var.github_repository_id))
    error_message = "github_repository_id must be the repository's number: gh api repos/OWNER/NAME --jq .id"
  }
}

variable "github_branch" {
  description = "The one branch whose workflow runs may push images: the default branch, on which the bot dispatches the build."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$", var.github_branch)) && !startswith(var.github_branch, "refs/")
    error_message = "github_branch must be the plain name of one branch, such as main: no refs/heads/ before it and no wildcard in it."
  }
}

variable "create_oidc_provider" {
  description = "Whether to create the account's GitHub OIDC provider. An account has at most one: where it exists already, say false and give oidc_provider_arn."
  type        = bool
  default     = true
}

variable "oidc_provider_arn" {
  description = "The ARN of the account's GitHub OIDC provider when it exists already; null when it is created here."
  type        = string
  default     = null

  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:aws:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.oidc_provider_arn))
    error_message = "oidc_provider_arn must be arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com: no other issuer is trusted."
  }

  validation {
    condition     = var.create_oidc_provider == (var.oidc_provider_arn == null)
    error_message = "Either create_oidc_provider is true and oidc_provider_arn null, or it is false and the ARN of the existing provider is given."
  }
}

variable "repository_arns" {
  description = "The image repositories, by name. The build role pushes to these and to no others."
  type        = map(string)

  validation {
    condition     = length(var.repository_arns) > 0
    error_message = "repository_arns is empty: without a repository there is nothing to push to. Give the outputs of the registry module."
  }

  validation {
    condition     = alltrue([for arn in values(var.repository_arns) : can(regex("^arn:aws:ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9._/-]+$", arn))])
    error_message = "Each of repository_arns must be the full ARN of one ECR repository, without wildcards."
  }
}

variable "document_arns" {
  description = "The SSM documents of the project, by name (the outputs of the documents module); those of a further region as NAME@REGION."
  type        = map(string)

  validation {
    condition     = alltrue([for arn in values(var.document_arns) : can(regex("^arn:aws:ssm:[a-z0-9-]+:[0-9]{12}:document/[A-Za-z0-9._-]+$", arn))])
    error_message = "Each of document_arns must be the full ARN of one SSM document of this account: AWS's own documents, which run any command, have no account in theirs."
  }
}

variable "bot_documents" {
  description = "Which of the documents the bot sends. The default is what the bot's settings name (aws.deploy_document, aws.status_document)."
  type        = set(string)
  default     = ["quarterdeck-deploy", "quarterdeck-status"]

  validation {
    condition     = length(var.bot_documents) > 0 && alltrue([for name in var.bot_documents : contains(keys(var.document_arns), name)])
    error_message = "bot_documents must name at least one document, and each must be a key of document_arns."
  }
}

variable "environments" {
  description = "The environments whose hosts the bot serves and whose infrastructure it may change."
  type        = set(string)

  validation {
    condition     = length(var.environments) > 0 && alltrue([for name in var.environments : can(regex("^[a-z][a-z0-9-]{0,15}$", name))])
    error_message = "environments must name at least one environment, each of 1 to 16 lower-case letters, digits and hyphens, beginning with a letter."
  }

  validation {
    condition     = length(setintersection(var.environments, ["control", "host", "deployed"])) == 0
    error_message = "environments must not contain control (what this module belongs to is not changed by the bot), host or deployed (the names of other parameters)."
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

variable "state_bucket_arn" {
  description = "The bucket of Terraform's state (made by infra/bootstrap)."
  type        = string

  validation {
    condition     = can(regex("^arn:aws:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_bucket_arn))
    error_message = "state_bucket_arn must be the ARN of one bucket, arn:aws:s3:::NAME, with nothing after the name."
  }
}

variable "state_kms_key_arn" {
  description = "The key that encrypts Terraform's state (made by infra/bootstrap)."
  type        = string

  validation {
    condition     = can(regex("^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.state_kms_key_arn))
    error_message = "state_kms_key_arn must be the ARN of one KMS key (arn:aws:kms:REGION:ACCOUNT:key/ID): an alias is not accepted in a policy."
  }
}

variable "team_trusted_arns" {
  description = "Who may take the team's role: IAM users or roles by ARN. Users are not made here, and no access keys."
  type        = set(string)

  validation {
    condition     = length(var.team_trusted_arns) > 0
    error_message = "team_trusted_arns is empty: nobody could look after a host when the bot is down. Name at least one person's user or role."
  }

  validation {
    condition     = alltrue([for arn in var.team_trusted_arns : can(regex("^arn:aws:iam::[0-9]{12}:(user|role)/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "Each of team_trusted_arns must be the ARN of one IAM user or role (arn:aws:iam::ACCOUNT:user/NAME): no wildcard, and not :root, which would mean everybody in that account."
  }
}

variable "hosted_zone_ids" {
  description = "The Route 53 zones whose records the environments' roots may change (the failover module). Empty: none."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for zone in var.hosted_zone_ids : can(regex("^Z[A-Z0-9]{3,31}$", zone))])
    error_message = "Each of hosted_zone_ids must be the id of one zone, such as Z0123456789ABCDEFGHIJ."
  }
}
