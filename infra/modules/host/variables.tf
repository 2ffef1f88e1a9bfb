variable "name" {
  description = "Prefix of the names of everything that is created here, such as quarterdeck-dev."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name must be 2 to 24 lower-case letters, digits and hyphens and begin with a letter, such as quarterdeck-dev."
  }
}

variable "environment" {
  description = "The one environment that the host serves; its tag, and ENVIRONMENT in its settings."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "environment must be 2 to 16 lower-case letters, digits and hyphens and begin with a letter, such as dev or prod."
  }
}

variable "vpc_id" {
  description = "The network that the host is in."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id must be a network's id, vpc-..., such as the output vpc_id of the module network."
  }
}

variable "subnet_id" {
  description = "The subnet that the host is in. In a public one it gets a public address; in a private one it needs a NAT gateway or the network's endpoints."
  type        = string

  validation {
    condition     = startswith(var.subnet_id, "subnet-")
    error_message = "subnet_id must be a subnet's id, subnet-..., such as the first of the output public_subnet_ids of the module network."
  }
}

variable "ami_id" {
  description = "The machine image, built by infra/packer. Another one replaces the host."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "ami_id must be an image's id, ami- and 8 to 17 hex digits. Packer writes the newest one to the parameter /quarterdeck/host/ami: build an image first."
  }
}

variable "instance_type" {
  description = "The instance's type: a current x86-64 one, since the image is built for that, with at least 2 GiB of memory."
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
  description = "Size of the root volume in GiB; it holds the images and the volumes of all containers. It can grow in place, but never shrink."
  type        = number
  default     = 30

  validation {
    condition     = var.root_volume_gib >= 20 && var.root_volume_gib <= 1000 && floor(var.root_volume_gib) == var.root_volume_gib
    error_message = "root_volume_gib must be a whole number from 20 (the system, the monitoring and three versions of an image) to 1000."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the root volume; null: the account's key for EBS."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be a KMS key's ARN (arn:aws:kms:<region>:<account>:key/<id>), not an alias, or null."
  }
}

variable "instance_profile_name" {
  description = "The instance profile, which gives the host its role; the module instance_role makes one."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,128}$", var.instance_profile_name))
    error_message = "instance_profile_name must be an instance profile's name, not its ARN: without one the host can neither be reached through Systems Manager nor pull images."
  }
}

variable "http_cidrs" {
  description = "Who may reach port 80; empty: nobody."
  type        = set(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for cidr in var.http_cidrs : can(regex("^[0-9.]+/[0-9]+$", cidr)) && try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "http_cidrs must be IPv4 ranges by their first address and length, such as 203.0.113.0/24 or 0.0.0.0/0."
  }
}

variable "monitoring_cidrs" {
  description = "Who may reach the monitoring's pages besides through Session Manager's port forwarding, which is always possible and needs no open port; empty: nobody."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.monitoring_cidrs : can(regex("^[0-9.]+/[0-9]+$", cidr)) && try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "monitoring_cidrs must be IPv4 ranges by their first address and length, such as 203.0.113.7/32."
  }

  validation {
    condition     = alltrue([for cidr in var.monitoring_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "monitoring_cidrs must not open the monitoring to the internet (0.0.0.0/0, or anything wider than /8): its pages show the insides of the system, and Prometheus and cAdvisor ask for no password. Use Session Manager's port forwarding, or name your office's addresses."
  }
}

variable "monitoring_ports" {
  description = "The ports of the monitoring's pages on the host, by name."
  type        = map(number)
  default     = { grafana = 3000, prometheus = 9090, cadvisor = 8080 }

  validation {
    condition     = alltrue([for port in values(var.monitoring_ports) : port >= 1024 && port <= 65535 && floor(port) == port])
    error_message = "monitoring_ports must be whole numbers from 1024 to 65535: smaller ones are the system's, and 22 and 80 have variables of their own."
  }

  validation {
    condition     = alltrue([for name in keys(var.monitoring_ports) : can(regex("^[a-z][a-z0-9-]{0,31}$", name))])
    error_message = "A name in monitoring_ports must be 1 to 32 lower-case letters, digits and hyphens and begin with a letter, such as grafana."
  }
}

variable "ssh" {
  description = "SSH for emergencies: from where (cidrs), and whose keys may log in (public_keys, by name). Null: no port 22, no keys; Session Manager needs neither."
  type = object({
    cidrs       = set(string)
    public_keys = map(string)
  })
  default = null

  validation {
    condition     = try(length(var.ssh.cidrs) > 0, var.ssh == null)
    error_message = "ssh needs cidrs: say from which addresses, such as [\"203.0.113.7/32\"], or leave ssh null and use Session Manager."
  }

  validation {
    condition     = try(length(var.ssh.public_keys) > 0, var.ssh == null)
    error_message = "ssh needs public_keys: an open port that lets nobody in is of no use. Give the keys by name, such as { ada = \"ssh-ed25519 ...\" }, or leave ssh null."
  }

  validation {
    condition     = alltrue([for cidr in try(var.ssh.cidrs, []) : can(regex("^[0-9.]+/[0-9]+$", cidr)) && try(cidrhost(cidr, 0) == split("/", cidr)[0], false)])
    error_message = "ssh.cidrs must be IPv4 ranges by their first address and length, such as 203.0.113.7/32."
  }

  validation {
    condition     = alltrue([for cidr in try(var.ssh.cidrs, []) : try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "ssh.cidrs must not open port 22 to the internet (0.0.0.0/0, or anything wider than /8): name the addresses that you come from, or leave ssh null and use Session Manager."
  }
}

variable "egress_ports" {
  description = "TCP ports on which the host may reach others: HTTPS for AWS, GitHub and Discord, HTTP for the system's packages."
  type        = set(number)
  default     = [80, 443]

  validation {
    condition     = contains(var.egress_ports, 443) && alltrue([for port in var.egress_ports : port >= 1 && port <= 65535 && floor(port) == port])
    error_message = "egress_ports must be ports from 1 to 65535 and contain 443: without it the host reaches neither Systems Manager nor the registry."
  }
}

variable "elastic_ip" {
  description = "Whether the host has a public address of its own that stays the same when it is stopped or replaced. False: the address that the subnet gives, if it gives one."
  type        = bool
  default     = false
}

variable "detailed_monitoring" {
  description = "Whether CloudWatch gets the instance's figures every minute instead of every five; costs a little."
  type        = bool
  default     = false
}

variable "settings" {
  description = "More lines of /etc/quarterdeck/host.env; the module user_data says what may be in them. A change replaces the host."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.settings) : can(regex("^[A-Z][A-Z0-9_]{0,63}$", key))])
    error_message = "A key of settings must be of A-Z, 0-9 and _ and begin with a letter, such as FRONT_URL_APP."
  }
}
