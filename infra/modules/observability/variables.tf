variable "name" {
  description = "What the alarms, the topic and the dashboard are called after, such as quarterdeck-dev."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,38}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 40 of a-z, 0-9 and hyphens, begin with a letter and not end with a hyphen, such as quarterdeck-dev."
  }
}

variable "environment" {
  description = "The environment, such as dev; it is part of the log groups' names."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,31}$", var.environment))
    error_message = "environment must have 1 to 32 of a-z, 0-9 and hyphens and begin with a letter, such as dev."
  }
}

variable "log_retention_days" {
  description = "How many days log lines are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the numbers that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653. 0 would keep, and charge for, every line for ever, and is refused."
  }
}

variable "emails" {
  description = "Who gets the alarms by e-mail; each address must confirm a message from AWS once."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for one in var.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s.]+$", one))])
    error_message = "Each of emails must be an e-mail address, such as ops@example.org."
  }
}

variable "pagerduty_url" {
  description = "The address of PagerDuty's CloudWatch integration; null: none. Whoever knows it can page, so it is kept out of what is shown."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.pagerduty_url == null || can(regex("^https://events\\.(eu\\.)?pagerduty\\.com/[^\\s]+$", var.pagerduty_url))
    error_message = "pagerduty_url must begin with https://events.pagerduty.com/ (or events.eu.pagerduty.com): copy it from the integration Amazon CloudWatch of your service."
  }
}

variable "instance_ids" {
  description = "The instances to watch, by a name for each that is known beforehand, such as { host = module.host.instance_id }."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for one in values(var.instance_ids) : can(regex("^i-[0-9a-f]{8,17}$", one))])
    error_message = "Each of instance_ids must be the id of an instance, such as i-0123456789abcdef0."
  }
}

variable "watch_fleet" {
  description = "Whether to watch the Auto Scaling group. It stands beside the name because that is known only once the group is made."
  type        = bool
  default     = false
}

variable "autoscaling_group_name" {
  description = "The Auto Scaling group to watch; needs watch_fleet = true."
  type        = string
  default     = null

  validation {
    condition     = var.autoscaling_group_name == null ? !var.watch_fleet : var.watch_fleet
    error_message = "watch_fleet and autoscaling_group_name belong together: give both, or neither."
  }
}

variable "watch_load_balancer" {
  description = "Whether to watch the load balancer. It stands beside the suffixes because they are known only once it is made."
  type        = bool
  default     = false
}

variable "load_balancer_arn_suffix" {
  description = "The end of the load balancer's ARN, app/...; needs watch_load_balancer = true."
  type        = string
  default     = null

  validation {
    condition     = var.load_balancer_arn_suffix == null ? !var.watch_load_balancer : var.watch_load_balancer
    error_message = "watch_load_balancer and load_balancer_arn_suffix belong together: give both, or neither."
  }
}

variable "target_group_arn_suffix" {
  description = "The end of the target group's ARN, targetgroup/...; needs watch_load_balancer = true."
  type        = string
  default     = null

  validation {
    condition     = var.target_group_arn_suffix == null ? !var.watch_load_balancer : var.watch_load_balancer
    error_message = "watch_load_balancer and target_group_arn_suffix belong together: give both, or neither."
  }
}

variable "watch_bot" {
  description = "Whether the bot runs in this environment: then its heartbeat is waited for, and its silence is an alarm."
  type        = bool
  default     = false
}

variable "cpu_percent" {
  description = "The CPU load, as the average of 15 minutes, that is an alarm."
  type        = number
  default     = 85

  validation {
    condition     = var.cpu_percent >= 10 && var.cpu_percent <= 100
    error_message = "cpu_percent must be from 10 to 100."
  }
}

variable "memory_percent" {
  description = "The used memory, over 10 minutes, that is an alarm. The host itself tells it."
  type        = number
  default     = 90

  validation {
    condition     = var.memory_percent >= 10 && var.memory_percent <= 100
    error_message = "memory_percent must be from 10 to 100."
  }
}

variable "disk_percent" {
  description = "The used part of the root disk that is an alarm. The host itself tells it."
  type        = number
  default     = 85

  validation {
    condition     = var.disk_percent >= 10 && var.disk_percent <= 99
    error_message = "disk_percent must be from 10 to 99: at 100 it is too late."
  }
}

variable "kms_key_arn" {
  description = "A KMS key for the log groups and the topic; null: AWS encrypts the log groups with a key of its own. The key's policy must let logs.<region>.amazonaws.com and cloudwatch.amazonaws.com use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (not of an alias), such as arn:aws:kms:eu-central-1:123456789012:key/..."
  }
}
