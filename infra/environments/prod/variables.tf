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
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) ? cidrhost(var.vpc_cidr, 0) == split("/", var.vpc_cidr)[0] && contains(range(16, 24), tonumber(split("/", var.vpc_cidr)[1])) : false
    error_message = "vpc_cidr must be an IPv4 network of a size from /16 to /23 that begins at its first address, such as 10.0.0.0/16."
  }

  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", var.vpc_cidr))
    error_message = "vpc_cidr must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16: other addresses belong to somebody on the internet."
  }
}

variable "instance_type" {
  description = "Size of an instance of the fleet. The image is for x86-64."
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

variable "az_count" {
  description = "Over how many availability zones the fleet is spread."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.az_count)
    error_message = "az_count must be 2 or 3: in one zone alone the fleet would be gone with it, and a load balancer needs two."
  }
}

variable "nat" {
  description = "How the instances reach the internet: one NAT gateway for all zones, or per_az: one in each, so that a zone's loss does not cut the others off."
  type        = string
  default     = "one"

  validation {
    condition     = contains(["one", "per_az"], var.nat)
    error_message = "nat must be one or per_az: the instances have no public address and need a way to their images."
  }
}

variable "endpoints" {
  description = "AWS services that are reached without the NAT gateway: s3 (free), and at a price by the hour and zone ssm, ecr, logs."
  type        = set(string)
  default     = ["s3", "ssm", "ecr"]

  validation {
    condition     = length(setsubtract(var.endpoints, ["s3", "ssm", "ecr", "logs"])) == 0
    error_message = "endpoints may contain s3, ssm, ecr and logs, and nothing else."
  }
}

variable "flow_logs" {
  description = "Whether the network's connections are recorded."
  type        = bool
  default     = true
}

variable "ingress_cidrs" {
  description = "Who may reach the load balancer; by default everybody."
  type        = set(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.ingress_cidrs) > 0 && alltrue([for cidr in var.ingress_cidrs : can(cidrnetmask(cidr))])
    error_message = "ingress_cidrs must be at least one IPv4 network, such as 0.0.0.0/0 for everybody."
  }
}

variable "certificate_arn" {
  description = "ARN of the ACM certificate of the load balancer, in the same region."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.certificate_arn)) ? split(":", var.certificate_arn)[3] == var.region : false
    error_message = "certificate_arn must be the ARN of an ACM certificate in the region of this environment, arn:aws:acm:<region>:<account>:certificate/<id>: a load balancer cannot use another region's."
  }
}

variable "min_size" {
  description = "The fewest instances that serve."
  type        = number
  default     = 2

  validation {
    condition     = var.min_size >= 1 && floor(var.min_size) == var.min_size
    error_message = "min_size must be a whole number of at least 1."
  }
}

variable "max_size" {
  description = "The most instances that the load may bring."
  type        = number
  default     = 4

  validation {
    condition     = var.max_size >= var.min_size && floor(var.max_size) == var.max_size
    error_message = "max_size must be a whole number and at least min_size: raise max_size or lower min_size."
  }
}

variable "cpu_target_percent" {
  description = "Processor load that the fleet is sized for."
  type        = number
  default     = 60

  validation {
    condition     = var.cpu_target_percent >= 10 && var.cpu_target_percent <= 90
    error_message = "cpu_target_percent must be from 10 to 90: a fleet that is sized for more has nothing left for a rush."
  }
}

variable "memory_target_percent" {
  description = "Memory use that the fleet is sized for."
  type        = number
  default     = 70

  validation {
    condition     = var.memory_target_percent >= 10 && var.memory_target_percent <= 90
    error_message = "memory_target_percent must be from 10 to 90."
  }
}

variable "health_path" {
  description = "Path by which the load balancer asks an instance whether it can serve."
  type        = string
  default     = "/health"

  validation {
    condition     = startswith(var.health_path, "/")
    error_message = "health_path must begin with a slash, such as /health."
  }
}

variable "replace_unhealthy" {
  description = "Whether an instance that the load balancer finds unhealthy is replaced. False until the first version was deployed: before, no instance can answer."
  type        = bool
  default     = true
}

variable "watched" {
  description = "Whether one of the instances runs Prometheus (monitoring/) and watches the others: they may then look for each other and read each other's figures."
  type        = bool
  default     = false
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the load balancer. Apply it as false first, then destroy."
  type        = bool
  default     = true
}

variable "enable_waf" {
  description = "Whether a web ACL with AWS's managed rules stands before the load balancer."
  type        = bool
  default     = true
}

variable "failover" {
  description = "Route 53 serves the domain from this environment while it is healthy, else from the secondary (the load balancer of the same root in a second region, if there is one); null: the domain is pointed at the load balancer elsewhere."
  type = object({
    zone_id = string
    domain  = string
    secondary = optional(object({
      dns_name = string
      zone_id  = string
    }))
  })
  default = null

  validation {
    condition     = var.failover == null ? true : can(regex("^[0-9A-Z]{8,32}$", var.failover.zone_id))
    error_message = "failover.zone_id must be the id of a Route 53 hosted zone, such as Z0123456789ABCDEFGHIJ."
  }
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
