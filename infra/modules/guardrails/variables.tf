variable "name" {
  description = "Prefix of the names of everything that is created here, such as quarterdeck-eu-central-1. Buckets add the account's id."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,35}$", var.name))
    error_message = "The name must be 2 to 36 lower-case letters, digits and hyphens and begin with a letter, because bucket names are made of it."
  }
}

variable "cloudtrail" {
  description = "Whether to record every API call of the account, in all regions, in a bucket of its own."
  type        = bool
  default     = false
}

variable "guardduty" {
  description = "Whether GuardDuty watches this region for signs of a break-in."
  type        = bool
  default     = false
}

variable "config" {
  description = "Whether AWS Config records how each resource was configured, and when that changed, in this region."
  type        = bool
  default     = false
}

variable "config_global_resources" {
  description = "Whether AWS Config also records IAM. True in one region only: each region that records it pays for it again."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "How many days the trail's and AWS Config's files are kept."
  type        = number
  default     = 365

  validation {
    condition     = var.log_retention_days >= 90 && var.log_retention_days <= 3650 && floor(var.log_retention_days) == var.log_retention_days
    error_message = "log_retention_days must be a whole number from 90 to 3650: a break-in is often found months later."
  }
}

variable "force_destroy" {
  description = "Whether destroying also deletes the recorded files. Leave false except where the records are worth nothing."
  type        = bool
  default     = false
}

variable "monthly_budget_usd" {
  description = "Monthly budget of the whole account in US dollars; null: no budget. Mails at 80 % and 100 % spent and at 100 % forecast."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget_usd == null ? true : var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd must be more than 0; leave it null for no budget."
  }
}

variable "budget_emails" {
  description = "Who is told about the budget (at most 10 addresses)."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.budget_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))]) && length(var.budget_emails) <= 10
    error_message = "budget_emails must be at most 10 e-mail addresses, each of the form name@example.org."
  }

  validation {
    condition     = var.monthly_budget_usd == null || length(var.budget_emails) > 0
    error_message = "A budget that nobody hears of guards nothing: give budget_emails, or leave monthly_budget_usd null."
  }
}

variable "waf" {
  description = "Whether a web ACL with AWS's managed rules stands before the load balancer. A switch of its own, because the ARN is not known before the first apply."
  type        = bool
  default     = false
}

variable "waf_load_balancer_arn" {
  description = "ARN of the Application Load Balancer that the web ACL protects."
  type        = string
  default     = null

  validation {
    condition     = !var.waf || var.waf_load_balancer_arn != null
    error_message = "waf is on and there is no load balancer to protect: give waf_load_balancer_arn, or set waf to false."
  }
}

variable "waf_requests_per_5_minutes" {
  description = "How many requests one address may make in five minutes before the web ACL blocks it for a while."
  type        = number
  default     = 2000

  validation {
    condition     = var.waf_requests_per_5_minutes >= 10 && var.waf_requests_per_5_minutes <= 2000000000
    error_message = "waf_requests_per_5_minutes must be from 10 to 2000000000, the limits of AWS WAF."
  }
}

variable "waf_log_retention_days" {
  description = "How many days the web ACL's log of blocked requests is kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.waf_log_retention_days)
    error_message = "waf_log_retention_days must be one of the retentions of CloudWatch Logs: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 and more; 0 (for ever) is not allowed."
  }
}
