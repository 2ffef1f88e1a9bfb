variable "region" {
  description = "AWS region. A second region is the same root with another state key."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must be the name of an AWS region, such as eu-central-1."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the environment's own network, from /16 to /23."
  type        = string
  default     = "10.10.0.0/20"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) ? cidrhost(var.vpc_cidr, 0) == split("/", var.vpc_cidr)[0] && contains(range(16, 24), tonumber(split("/", var.vpc_cidr)[1])) : false
    error_message = "vpc_cidr must be an IPv4 network of a size from /16 to /23 that begins at its first address, such as 10.10.0.0/20."
  }

  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", var.vpc_cidr))
    error_message = "vpc_cidr must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16: other addresses belong to somebody on the internet."
  }
}

variable "instance_type" {
  description = "Size of an instance. The image is for x86-64."
  type        = string
  default     = "t3.medium"

  validation {
    condition     = can(regex("^(t3|t3a|m5|m5a|m6i|m6a|m7i|m7a|m7i-flex|c5|c5a|c6i|c6a|c7i|c7a|c7i-flex|r5|r5a|r6i|r6a|r7i|r7a)\\.(small|medium|large|xlarge|[248]xlarge)$", var.instance_type))
    error_message = "instance_type must be an x86-64 type of the families t3, m5 to m7, c5 to c7 or r5 to r7, from small to 8xlarge, such as t3.medium: the image does not start on Graviton (t4g, m7g), and smaller ones have too little memory."
  }
}

variable "root_volume_gib" {
  description = "Size of an instance's disk in GiB."
  type        = number
  default     = 30

  validation {
    condition     = var.root_volume_gib >= 20 && var.root_volume_gib <= 1024 && floor(var.root_volume_gib) == var.root_volume_gib
    error_message = "root_volume_gib must be a whole number from 20 to 1024: below 20 the images of two versions do not fit."
  }
}

variable "use_default_vpc" {
  description = "Whether the instance stands in the region's default VPC instead of one of its own."
  type        = bool
  default     = false
}

variable "flow_logs" {
  description = "Whether the network's connections are recorded."
  type        = bool
  default     = true
}

variable "http_cidrs" {
  description = "Who may reach port 80; by default everybody."
  type        = set(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.http_cidrs) > 0 && alltrue([for cidr in var.http_cidrs : can(cidrnetmask(cidr))])
    error_message = "http_cidrs must be at least one IPv4 network, such as 0.0.0.0/0 for everybody."
  }
}

variable "monitoring_cidrs" {
  description = "Who may reach Grafana, Prometheus and cAdvisor directly; by default nobody: they are reached through Session Manager."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.monitoring_cidrs : can(cidrnetmask(cidr)) && !endswith(cidr, "/0")])
    error_message = "monitoring_cidrs must be IPv4 networks of your own, such as 198.51.100.7/32; the whole internet (/0) is not allowed, because Prometheus asks nobody for a password."
  }
}

variable "ssh" {
  description = "SSH for people who need it beside Session Manager: from where, and the public keys by name; null: no port 22 and no keys."
  type = object({
    cidrs       = set(string)
    public_keys = map(string)
  })
  default = null

  validation {
    condition     = var.ssh == null ? true : length(var.ssh.cidrs) > 0 && length(var.ssh.public_keys) > 0
    error_message = "ssh needs both cidrs (from where) and public_keys (who); leave ssh null to go without SSH."
  }

  validation {
    condition     = var.ssh == null ? true : alltrue([for cidr in var.ssh.cidrs : can(cidrnetmask(cidr)) && !endswith(cidr, "/0")])
    error_message = "ssh.cidrs must be IPv4 networks of your own, such as 198.51.100.7/32; SSH from the whole internet (/0) is not allowed."
  }
}

variable "elastic_ip" {
  description = "Whether the instance keeps its public address when it is replaced."
  type        = bool
  default     = true
}

variable "detailed_monitoring" {
  description = "Whether EC2 measures every minute instead of every five."
  type        = bool
  default     = false
}

variable "run_bot" {
  description = "Whether the bot runs on this host: its instance role may then take the bot's role, and the host is told which one that is. The image comes with settings: BOT_IMAGE."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "How many days logs are kept in CloudWatch."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of CloudWatch's retentions (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, ...); 0, which keeps logs and their cost for ever, is not allowed."
  }
}

variable "alarm_emails" {
  description = "Who gets alarms by mail, beside the bot; each must confirm the subscription that AWS mails."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alarm_emails must be e-mail addresses of the form name@example.org."
  }
}

variable "pagerduty_url" {
  description = "Integration URL of PagerDuty's CloudWatch integration; null: none. It is a secret: give it as TF_VAR_pagerduty_url."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.pagerduty_url == null ? true : startswith(var.pagerduty_url, "https://")
    error_message = "pagerduty_url must begin with https://."
  }
}

variable "secrets" {
  description = "The services' secret parameters, by the name of the environment variable that the service gets: which service, and what it is for. Values are given separately; name says the variable when two services have one of the same name."
  type = map(object({
    service       = string
    description   = string
    name          = optional(string)
    value_version = optional(number, 1)
  }))
  default = {}

  validation {
    condition     = alltrue([for one in values(var.secrets) : can(regex("^[a-z][a-z0-9-]{0,31}$", one.service))])
    error_message = "secrets: service must be the name of a service, up to 32 lower-case letters, digits and hyphens, such as app."
  }
}

variable "secret_values" {
  description = "Values of secrets, by the same keys; never stored in the plan or the state. A changed value is written when value_version is raised. Left out: set them with `aws ssm put-parameter`."
  type        = map(string)
  default     = {}
  ephemeral   = true
  sensitive   = true
}

variable "settings" {
  description = "Further lines of /etc/quarterdeck/host.env, such as HEALTH_DEADLINE_S = \"60\" (infra/host/README.md). No secrets: everybody on the host can read them."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, value in var.settings : can(regex("^[A-Z][A-Z0-9_]*$", name)) && can(regex("^[ -~]*$", value))])
    error_message = "settings: names are of A-Z, 0-9 and _, values of printable ASCII in one line."
  }
}

variable "enable_snapshots" {
  description = "Whether Data Lifecycle Manager copies the environment's instances once a day."
  type        = bool
  default     = true
}

variable "snapshot_keep_days" {
  description = "For how many days a daily copy is kept."
  type        = number
  default     = 7

  validation {
    condition     = var.snapshot_keep_days >= 1 && var.snapshot_keep_days <= 365 && floor(var.snapshot_keep_days) == var.snapshot_keep_days
    error_message = "snapshot_keep_days must be a whole number from 1 to 365; to have no copies at all set enable_snapshots to false."
  }
}
