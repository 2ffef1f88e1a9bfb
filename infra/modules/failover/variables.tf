variable "enabled" {
  description = "Whether the name is served by Route 53 with a health check. When false, nothing is created."
  type        = bool
  default     = false
}

variable "name" {
  description = "What the health check is called, such as quarterdeck-prod."
  type        = string
  default     = "quarterdeck"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,62}$", var.name))
    error_message = "The name must be 2 to 63 lower-case letters, digits and hyphens and begin with a letter."
  }
}

variable "zone_id" {
  description = "Id of the public hosted zone that holds the domain."
  type        = string
  default     = null

  validation {
    condition     = var.zone_id == null ? true : can(regex("^[0-9A-Z]{8,32}$", var.zone_id))
    error_message = "zone_id must be the id of a Route 53 hosted zone, such as Z0123456789ABCDEFGHIJ (aws route53 list-hosted-zones)."
  }

  validation {
    condition     = !var.enabled || var.zone_id != null
    error_message = "Failover is on and there is no zone to write to: give zone_id, or set enabled to false."
  }
}

variable "domain" {
  description = "The name that people use, such as app.example.org. It must be in the certificate of both load balancers."
  type        = string
  default     = null

  validation {
    condition     = var.domain == null ? true : can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.domain))
    error_message = "domain must be a host name in lower case without a scheme or a final dot, such as app.example.org."
  }

  validation {
    condition     = !var.enabled || var.domain != null
    error_message = "Failover is on and has no name to serve: give domain, or set enabled to false."
  }
}

variable "primary" {
  description = "The load balancer that serves as long as it is healthy, and the path by which Route 53 asks it."
  type = object({
    dns_name    = string
    zone_id     = string
    health_path = optional(string, "/health")
  })
  default = null

  validation {
    condition     = !var.enabled || var.primary != null
    error_message = "Failover is on and has nobody to serve: give primary, or set enabled to false."
  }

  validation {
    condition     = var.primary == null ? true : startswith(var.primary.health_path, "/")
    error_message = "primary.health_path must begin with a slash, such as /health."
  }
}

variable "secondary" {
  description = "The load balancer that serves when the primary does not; null: none yet, and the primary is only watched."
  type = object({
    dns_name = string
    zone_id  = string
  })
  default = null
}

variable "failures" {
  description = "How many checks in a row must fail before the secondary serves. Checks are 10 s apart."
  type        = number
  default     = 3

  validation {
    condition     = var.failures >= 1 && var.failures <= 10 && floor(var.failures) == var.failures
    error_message = "failures must be a whole number from 1 to 10."
  }
}
