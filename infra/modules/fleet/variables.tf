variable "name" {
  description = "Prefix of the names of everything that is created here, such as quarterdeck-prod."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name must be 2 to 24 lower-case letters, digits and hyphens and begin with a letter, such as quarterdeck-prod: a load balancer's name has room for no more."
  }
}

variable "environment" {
  description = "The one environment that the hosts serve; their tag, and ENVIRONMENT in their settings."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "environment must be 2 to 16 lower-case letters, digits and hyphens and begin with a letter, such as dev or prod."
  }
}

variable "vpc_id" {
  description = "The network that everything is in."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id must be a network's id, vpc-..., such as the output vpc_id of the module network."
  }
}

variable "public_subnet_ids" {
  description = "Where the load balancer is: one public subnet in each of at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.public_subnet_ids) >= 2
    error_message = "public_subnet_ids must name subnets of at least two zones, because AWS puts a load balancer in no fewer: set az_count = 2 in the module network."
  }
}

variable "private_subnet_ids" {
  description = "Where the hosts are: one private subnet in each of at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.private_subnet_ids) >= 2
    error_message = "private_subnet_ids must name subnets of at least two zones, so that the loss of one is survived: set private_subnets = true and az_count = 2 in the module network."
  }
}

variable "ami_id" {
  description = "The machine image, built by infra/packer. Another one replaces the hosts one after the other."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "ami_id must be an image's id, ami- and 8 to 17 hex digits. Packer writes the newest one to the parameter /quarterdeck/host/ami: build an image first."
  }
}

variable "instance_type" {
  description = "The hosts' type: a current x86-64 one, since the image is built for that, with at least 2 GiB of memory."
  type        = string
  default     = "t3.medium"

  validation {
    condition     = can(regex("^(t3a?|[mcr](5|5a|6i|6a|7i|7a)|[mc]7i-flex)[.]", var.instance_type))
    error_message = "instance_type must be of a current x86-64 family (t3, t3a, and m, c and r of the generations 5 to 7, such as m7i or c6a), because the image is built for x86-64 and needs the Nitro system. Graviton families such as t4g cannot start it."
  }

  validation {
    condition     = can(regex("[.](small|medium|large|([248]|12|16|24)?xlarge)$", var.instance_type))
    error_message = "instance_type must end in a size from small to 24xlarge, such as t3.medium: nano and micro do not have the memory for a container engine, two versions of a service and the monitoring."
  }
}

variable "root_volume_gib" {
  description = "Size of each host's root volume in GiB."
  type        = number
  default     = 30

  validation {
    condition     = var.root_volume_gib >= 20 && var.root_volume_gib <= 1000 && floor(var.root_volume_gib) == var.root_volume_gib
    error_message = "root_volume_gib must be a whole number from 20 (the system, the monitoring and three versions of an image) to 1000."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the root volumes, which the service-linked role of Auto Scaling must be allowed to use; null: the account's key for EBS."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be a KMS key's ARN (arn:aws:kms:<region>:<account>:key/<id>), not an alias, or null."
  }
}

variable "instance_profile_name" {
  description = "The instance profile, which gives the hosts their role; the module instance_role makes one."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,128}$", var.instance_profile_name))
    error_message = "instance_profile_name must be an instance profile's name, not its ARN: without one the hosts can neither be reached through Systems Manager nor pull images."
  }
}

variable "settings" {
  description = "More lines of /etc/quarterdeck/host.env; the module user_data says what may be in them. AUTOSCALING_GROUP is added. A change replaces the hosts one after the other."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.settings) : can(regex("^[A-Z][A-Z0-9_]{0,63}$", key))])
    error_message = "A key of settings must be of A-Z, 0-9 and _ and begin with a letter, such as FRONT_URL_APP."
  }

  validation {
    condition     = !contains(keys(var.settings), "AUTOSCALING_GROUP")
    error_message = "settings must not contain AUTOSCALING_GROUP: the fleet writes the name of its own group there, under which its hosts report their memory."
  }
}

variable "min_size" {
  description = "How many hosts there are at least."
  type        = number
  default     = 2

  validation {
    condition     = var.min_size >= 1 && floor(var.min_size) == var.min_size
    error_message = "min_size must be a whole number of at least 1; 2 or more survive the loss of a zone."
  }

  validation {
    condition     = var.min_size <= var.max_size
    error_message = "min_size must not be greater than max_size: raise max_size or lower min_size."
  }
}

variable "max_size" {
  description = "How many hosts there are at most: the limit of what load can cost."
  type        = number
  default     = 4

  validation {
    condition     = var.max_size >= 1 && var.max_size <= 100 && floor(var.max_size) == var.max_size
    error_message = "max_size must be a whole number from 1 to 100."
  }
}

variable "certificate_arn" {
  description = "The certificate for HTTPS, of AWS Certificate Manager in the same region."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of a certificate of AWS Certificate Manager (arn:aws:acm:<region>:<account>:certificate/<id>). Ask for one there first: the load balancer speaks no plain HTTP but to send people to HTTPS."
  }
}

variable "health_path" {
  description = "What a host must answer with 200 to get requests."
  type        = string
  default     = "/health"

  validation {
    condition     = can(regex("^/[A-Za-z0-9._~/-]{0,255}$", var.health_path))
    error_message = "health_path must be a path that begins with / and has no query, such as /health."
  }
}

variable "replace_unhealthy" {
  description = "Whether a host that does not answer the health check is replaced. False until the first version of the service is deployed: before that no host answers, and all would be replaced without end."
  type        = bool
  default     = true
}

variable "boot_seconds" {
  description = "How long a new host may need until it serves: booting, pulling and starting what was deployed last. Its health and its figures count only then."
  type        = number
  default     = 300

  validation {
    condition     = var.boot_seconds >= 60 && var.boot_seconds <= 1800 && floor(var.boot_seconds) == var.boot_seconds
    error_message = "boot_seconds must be a whole number from 60 to 1800: with less, hosts are replaced while they still start."
  }
}

variable "drain_seconds" {
  description = "How long a host that is taken out may finish what it was asked."
  type        = number
  default     = 60

  validation {
    condition     = var.drain_seconds >= 5 && var.drain_seconds <= 3600 && floor(var.drain_seconds) == var.drain_seconds
    error_message = "drain_seconds must be a whole number from 5 to 3600: with none, requests are cut off whenever a host goes."
  }
}

variable "cpu_target_percent" {
  description = "The average use of processors that the number of hosts is kept at."
  type        = number
  default     = 60

  validation {
    condition     = var.cpu_target_percent >= 10 && var.cpu_target_percent <= 90
    error_message = "cpu_target_percent must be from 10 to 90: above, there is no room left for the minutes that a new host needs."
  }
}

variable "memory_target_percent" {
  description = "The average use of memory that the number of hosts is kept at, as they report it themselves (MemoryUsedPercent in Quarterdeck/Host)."
  type        = number
  default     = 70

  validation {
    condition     = var.memory_target_percent >= 10 && var.memory_target_percent <= 90
    error_message = "memory_target_percent must be from 10 to 90: above, hosts run out of memory before a new one comes."
  }
}

variable "ingress_cidrs" {
  description = "Who may reach the load balancer."
  type        = set(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.ingress_cidrs) > 0 && alltrue([for cidr in var.ingress_cidrs : can(regex("^[0-9.]+/[0-9]+$", cidr)) && try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "ingress_cidrs must be at least one IPv4 range by its first address and length, such as 203.0.113.0/24 or 0.0.0.0/0."
  }
}

variable "egress_ports" {
  description = "TCP ports on which the hosts may reach others: HTTPS for AWS, HTTP for the system's packages."
  type        = set(number)
  default     = [80, 443]

  validation {
    condition     = contains(var.egress_ports, 443) && alltrue([for port in var.egress_ports : port >= 1 && port <= 65535 && floor(port) == port])
    error_message = "egress_ports must be ports from 1 to 65535 and contain 443: without it the hosts reach neither Systems Manager nor the registry."
  }
}

variable "watched" {
  description = "Whether one of the hosts runs Prometheus and reads the others' figures: the hosts may then reach each other on monitoring_ports, and nobody else may."
  type        = bool
  default     = false
  nullable    = false
}

variable "monitoring_ports" {
  description = "Where the hosts' figures are read if they are watched, by what listens there: what monitoring/prometheus/prometheus-prod.yml scrapes."
  type        = map(number)
  default     = { front = 80, cadvisor = 8080, node_exporter = 9100 }
  nullable    = false

  validation {
    condition     = length(var.monitoring_ports) > 0 && alltrue([for name in keys(var.monitoring_ports) : can(regex("^[a-z][a-z0-9_-]{0,31}$", name))])
    error_message = "monitoring_ports must name at least one port, each by up to 32 of a-z, 0-9, _ and -, such as node_exporter; to have none leave watched false."
  }

  validation {
    condition     = alltrue([for port in values(var.monitoring_ports) : port >= 1 && port <= 65535 && port != 22 && floor(port) == port])
    error_message = "monitoring_ports must be whole numbers from 1 to 65535 and not 22: no host of the fleet listens for SSH."
  }

  validation {
    condition     = length(distinct(values(var.monitoring_ports))) == length(var.monitoring_ports)
    error_message = "monitoring_ports names the same port twice: AWS takes a rule only once."
  }
}

variable "access_logs_bucket" {
  description = "A bucket for the load balancer's access logs, whose policy lets load balancers write; null: none are kept."
  type        = string
  default     = null

  validation {
    condition     = var.access_logs_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.access_logs_bucket))
    error_message = "access_logs_bucket must be a bucket's name, not its ARN, or null."
  }
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the load balancer. Set it to false and apply before destroying."
  type        = bool
  default     = true
}
