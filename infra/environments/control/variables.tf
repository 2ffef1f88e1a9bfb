variable "region" {
  description = "AWS region of this copy of the root. A second region is the same root with another state key and account_wide = false."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must be the name of an AWS region, such as eu-central-1."
  }
}

variable "account_wide" {
  description = "Whether this copy also holds what exists once an account: roles, the trail, the budget. False in a second region."
  type        = bool
  default     = true
}

variable "environments" {
  description = "The environments that the roles are made for."
  type        = set(string)
  default     = ["dev", "prod"]

  validation {
    condition     = length(var.environments) > 0 && alltrue([for name in var.environments : can(regex("^[a-z][a-z0-9-]{0,15}$", name)) && !contains(["control", "host", "deployed"], name)])
    error_message = "environments must name at least one environment; names are up to 16 lower-case letters, digits and hyphens; control, host and deployed are taken."
  }
}

variable "further_regions" {
  description = "Second regions: images that are pushed from then on are copied there and the roles may work there. Apply this root in each of them first: ECR makes repositories that are missing there. Counts only with account_wide, so that a second region takes the same values."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for region in var.further_regions : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region)) && !(var.account_wide && region == var.region)])
    error_message = "further_regions must be names of AWS regions other than region itself, such as eu-west-1."
  }
}

variable "repositories" {
  description = "Image repositories, one a component; the build workflow pushes to the repository of the component's name."
  type        = set(string)
  default     = ["app", "bot"]

  validation {
    condition     = length(var.repositories) > 0
    error_message = "repositories must name at least one image repository, such as app."
  }
}

variable "keep_images" {
  description = "How many images a repository keeps."
  type        = number
  default     = 30

  validation {
    condition     = var.keep_images >= 10 && floor(var.keep_images) == var.keep_images
    error_message = "keep_images must be a whole number of at least 10: a rollback needs the images before the last."
  }
}

variable "github_repository" {
  description = "The GitHub repository whose workflow builds the images, as owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$", var.github_repository))
    error_message = "github_repository must be owner/name, such as example/quarterdeck."
  }
}

variable "github_owner_id" {
  description = "The owner's number (gh api repos/OWNER/NAME --jq .owner.id). GitHub has put it into the OIDC subject of new and renamed repositories since July 2026."
  type        = string

  validation {
    condition     = can(regex("^[1-9][0-9]{0,18}$", var.github_owner_id))
    error_message = "github_owner_id must be the owner's number, as `gh api repos/OWNER/NAME --jq .owner.id` prints it."
  }
}

variable "github_repository_id" {
  description = "The repository's number (gh api repos/OWNER/NAME --jq .id)."
  type        = string

  validation {
    condition     = can(regex("^[1-9][0-9]{0,18}$", var.github_repository_id))
    error_message = "github_repository_id must be the repository's number, as `gh api repos/OWNER/NAME --jq .id` prints it."
  }
}

variable "github_branch" {
  description = "The branch whose workflow may build; the default branch."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$", var.github_branch)) && !startswith(var.github_branch, "refs/")
    error_message = "github_branch must be the plain name of one branch, such as main: no refs/heads/ before it and no wildcard in it."
  }
}

variable "oidc_provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub Actions if it has one already (an account can have only one); null: it is created."
  type        = string
  default     = null

  validation {
    condition     = var.oidc_provider_arn == null ? true : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.oidc_provider_arn))
    error_message = "oidc_provider_arn must be arn:aws:iam::<account>:oidc-provider/token.actions.githubusercontent.com, or null to have it created."
  }
}

variable "team_trusted_arns" {
  description = "Who may take the team's role: ARNs of IAM users or of roles (also IAM Identity Center's)."
  type        = set(string)

  validation {
    condition     = length(var.team_trusted_arns) > 0
    error_message = "The team is empty: name at least one IAM user or role in team_trusted_arns, or nobody could look at the hosts without the bot."
  }

  validation {
    condition     = alltrue([for arn in var.team_trusted_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(user|role)/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "team_trusted_arns must be full ARNs of users or roles, such as arn:aws:iam::123456789012:user/ada; a whole account (:root) or a wildcard is refused."
  }
}

variable "hosted_zone_ids" {
  description = "Route 53 zones whose records the bot may change when it applies prod with failover; empty: records stay a person's task."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.hosted_zone_ids : can(regex("^Z[A-Z0-9]{3,31}$", id))])
    error_message = "hosted_zone_ids must be ids of Route 53 hosted zones, such as Z0123456789ABCDEFGHIJ."
  }
}

variable "state_bucket_name" {
  description = "Name of the bucket with Terraform's state (infra/backend.hcl)."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,53}[a-z0-9]$", var.state_bucket_name))
    error_message = "state_bucket_name must be the bucket that `make -C infra bootstrap` wrote to infra/backend.hcl (at most 55 characters, so that the copy's name fits)."
  }
}

variable "state_kms_key_arn" {
  description = "ARN of the key that the state is encrypted with (infra/backend.hcl)."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.state_kms_key_arn))
    error_message = "state_kms_key_arn must be the key's full ARN, arn:aws:kms:<region>:<account>:key/<id>, as infra/backend.hcl has it."
  }
}

variable "replica_region" {
  description = "Second region that every version of the state is copied to; null: no copy. Counts only with account_wide."
  type        = string
  default     = null

  validation {
    condition     = var.replica_region == null ? true : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.replica_region)) && !(var.account_wide && var.replica_region == var.region)
    error_message = "replica_region must be the name of an AWS region other than region itself, such as eu-west-1."
  }
}

variable "cloudtrail" {
  description = "Whether this root keeps a trail of the account's API calls. Set to false when the organisation keeps one already."
  type        = bool
  default     = true
}

variable "guardduty" {
  description = "Whether GuardDuty watches this region."
  type        = bool
  default     = true
}

variable "config" {
  description = "Whether AWS Config records this region's resources. A region has at most one recorder."
  type        = bool
  default     = true
}

variable "monthly_budget_usd" {
  description = "Monthly budget of the account in US dollars; null: no budget."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget_usd == null ? true : var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd must be more than 0; leave it out for no budget."
  }

  validation {
    condition     = var.monthly_budget_usd == null || length(var.budget_emails) > 0
    error_message = "monthly_budget_usd is given and nobody would hear of it: give budget_emails too."
  }
}

variable "budget_emails" {
  description = "Who is told about the budget."
  type        = set(string)
  default     = []
}

variable "force_destroy" {
  description = "Whether destroying also deletes images, artifacts and records. Apply it as true first, then destroy."
  type        = bool
  default     = false
}
