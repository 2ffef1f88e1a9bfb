variable "name" {
  description = "Prefix of the names of everything that is created here, such as quarterdeck-prod."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,31}$", var.name))
    error_message = "name must be 2 to 32 lower-case letters, digits and hyphens and begin with a letter, such as quarterdeck-prod."
  }
}

variable "cidr" {
  description = "The network's private IPv4 range. Each subnet gets a sixteenth of it. Not used with use_default_vpc."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(regex("^[0-9.]+/(1[6-9]|2[0-3])$", var.cidr)) && try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "cidr must be the first address of an IPv4 range and a length from /16 to /23, such as 10.0.0.0/16: AWS takes nothing larger, and in anything smaller a load balancer does not fit into a sixteenth."
  }

  validation {
    condition     = can(regex("^(10|172[.](1[6-9]|2[0-9]|3[01])|192[.]168)[.]", var.cidr))
    error_message = "cidr must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16: other addresses belong to somebody on the internet, who could then not be reached."
  }

  validation {
    condition     = !startswith(var.cidr, "172.17.")
    error_message = "cidr must not lie in 172.17.0.0/16: that is the range of Docker's own bridge on every host, and answers would end there. Take another, such as 10.0.0.0/16."
  }
}

variable "az_count" {
  description = "How many availability zones to use. A load balancer needs two."
  type        = number
  default     = 2

  validation {
    condition     = contains([1, 2, 3], var.az_count)
    error_message = "az_count must be 1, 2 or 3: one for a development network, two or three to survive the loss of a zone."
  }
}

variable "private_subnets" {
  description = "Whether each zone also has a subnet that cannot be reached from the internet."
  type        = bool
  default     = false

  validation {
    condition     = !(var.private_subnets && var.use_default_vpc)
    error_message = "private_subnets needs a network of its own, and use_default_vpc asks for the account's default one, which has none: set one of the two to false."
  }
}

variable "nat" {
  description = "How private subnets reach the internet: none, one (a NAT gateway shared by all zones) or per_az (one in each zone)."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "one", "per_az"], var.nat)
    error_message = "nat must be none, one (cheaper; its zone's loss cuts all zones off) or per_az."
  }

  validation {
    condition     = var.nat == "none" || var.private_subnets
    error_message = "nat serves private subnets only, and there are none: set private_subnets = true, or nat = \"none\"."
  }
}

variable "flow_logs" {
  description = "Whether to log who spoke to whom (accepted and rejected) to CloudWatch Logs."
  type        = bool
  default     = true
}

variable "flow_log_retention_days" {
  description = "How many days flow logs are kept; one of the values that CloudWatch Logs knows."
  type        = number
  default     = 30

  validation {
    condition     = var.flow_log_retention_days != 0
    error_message = "flow_log_retention_days must not be 0: CloudWatch Logs takes that for ever, and the bill grows without end. Take 30, or up to 3653."
  }

  validation {
    condition = contains([
      0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
    ], var.flow_log_retention_days)
    error_message = "flow_log_retention_days must be a value that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "flow_log_kms_key_arn" {
  description = "KMS key for the flow logs' log group; null: the key that CloudWatch Logs owns."
  type        = string
  default     = null

  validation {
    condition     = var.flow_log_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.flow_log_kms_key_arn))
    error_message = "flow_log_kms_key_arn must be a KMS key's ARN (arn:aws:kms:<region>:<account>:key/<id>), not an alias, or null."
  }
}

variable "permissions_boundary_arn" {
  description = "The boundary that the apply role demands of every role it makes (output workload_boundary_arn of the module identity); null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy (arn:aws:iam::<account>:policy/<name>), or null."
  }
}

variable "endpoints" {
  description = "AWS services that are reached without leaving the network: s3 (free), and at a price by the hour and zone ssm (Systems Manager and Session Manager), ecr (image pulls), logs (CloudWatch Logs and metrics)."
  type        = set(string)
  default     = ["s3"]

  validation {
    condition     = length(setsubtract(var.endpoints, ["s3", "ssm", "ecr", "logs"])) == 0
    error_message = "endpoints may contain s3, ssm, ecr and logs, and nothing else."
  }

  validation {
    condition     = !contains(var.endpoints, "ecr") || contains(var.endpoints, "s3")
    error_message = "endpoints with ecr must contain s3, too: ECR keeps the layers of images there, and without it they would still take the way through the internet."
  }
}

variable "use_default_vpc" {
  description = "Whether to use the account's default network instead of creating one. For a first try; nothing in it can be made private."
  type        = bool
  default     = false
}
