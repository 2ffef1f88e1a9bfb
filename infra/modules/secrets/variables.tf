variable "environment" {
  description = "The environment that the parameters belong to, such as dev."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,31}$", var.environment))
    error_message = "environment must have 1 to 32 of a-z, 0-9 and hyphens and begin with a letter, such as dev."
  }
}

variable "parameters" {
  description = "The secrets, by the name of the environment variable that the service gets. Raise value_version whenever a new value is given; name says the variable when two services have one of the same name."
  type = map(object({
    service       = string
    description   = string
    name          = optional(string)
    value_version = optional(number, 1)
  }))
  default = {}

  validation {
    condition     = alltrue([for key, one in var.parameters : can(regex("^[A-Z][A-Z0-9_]{0,63}$", coalesce(one.name, key)))])
    error_message = "Each parameter's name must have 1 to 64 of A-Z, 0-9 and _ and begin with a letter: it becomes an environment variable."
  }
  validation {
    condition = alltrue([
      for key, one in var.parameters :
      !can(regex("^(PATH|HOME|PORT|HOST|LD_.*|PYTHON.*|APP_COMMIT|APP_BUILT_FROM|QUARTERDECK_.*)$", coalesce(one.name, key)))
      || one.service == "bot" && contains(["QUARTERDECK_DISCORD_TOKEN", "QUARTERDECK_GITHUB_TOKEN", "QUARTERDECK_ALERTMANAGER_TOKEN"], coalesce(one.name, key))
    ])
    error_message = "PATH, HOME, PORT, HOST, LD_*, PYTHON*, APP_COMMIT, APP_BUILT_FROM and QUARTERDECK_* are reserved: the host would refuse the rollout. Take another name. Only the service bot has QUARTERDECK_DISCORD_TOKEN, QUARTERDECK_GITHUB_TOKEN and QUARTERDECK_ALERTMANAGER_TOKEN."
  }
  validation {
    condition     = alltrue([for one in var.parameters : can(regex("^[a-z][a-z0-9-]{0,31}$", one.service))])
    error_message = "Each parameter's service must have 1 to 32 of a-z, 0-9 and hyphens and begin with a letter, such as app."
  }
  validation {
    condition     = alltrue([for one in var.parameters : length(trimspace(one.description)) > 0 && length(one.description) <= 1024])
    error_message = "Each parameter needs a description of at most 1024 characters: say what it is for and where a new value comes from."
  }
  validation {
    condition     = alltrue([for one in var.parameters : one.value_version >= 1 && floor(one.value_version) == one.value_version])
    error_message = "Each parameter's value_version must be a whole number from 1 on; raise it by one with each new value."
  }
  validation {
    condition     = length(distinct([for key, one in var.parameters : "${one.service}/${coalesce(one.name, key)}"])) == length(var.parameters)
    error_message = "Two of parameters have the same service and name."
  }
}

variable "values" {
  description = "New values by the keys of parameters, needed only at the apply that creates one or raises its value_version. They are in no plan and no state."
  type        = map(string)
  default     = {}
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = length(setsubtract(keys(var.values), keys(var.parameters))) == 0
    error_message = "values names something that is not in parameters; their keys must be the same."
  }
  validation {
    condition     = alltrue([for value in values(var.values) : length(value) > 0 && length(value) <= 4096 && !can(regex("[\n\r]", value))])
    error_message = "Each of values must be one line of 1 to 4096 characters: an environment variable cannot carry more."
  }
}

variable "kms_key_id" {
  description = "The KMS key to encrypt with, as id, ARN or alias; null: AWS's own key for Systems Manager, which costs nothing."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_id == null || can(regex("^(alias/[A-Za-z0-9/_-]+|(mrk-)?[0-9a-f-]{32,36}|arn:aws[a-z-]*:kms:.+)$", var.kms_key_id))
    error_message = "kms_key_id must be a key's id, its ARN, or an alias such as alias/quarterdeck."
  }
}
