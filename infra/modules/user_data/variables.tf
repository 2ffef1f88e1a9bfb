variable "environment" {
  description = "The one environment that the host serves; written as ENVIRONMENT."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "environment must be 2 to 16 lower-case letters, digits and hyphens and begin with a letter, such as dev or prod."
  }
}

variable "settings" {
  description = "More lines of /etc/quarterdeck/host.env (infra/host/README.md lists the keys). No secrets: user data can be read by everybody who may describe the instance."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.settings) : can(regex("^[A-Z][A-Z0-9_]{0,63}$", key))])
    error_message = "A key of settings must be of A-Z, 0-9 and _ and begin with a letter, such as FRONT_URL_APP."
  }

  validation {
    condition     = alltrue([for value in values(var.settings) : can(regex("^[!-~]([ -~]{0,510}[!-~])?$", value))])
    error_message = "A value of settings must be one line of 1 to 512 printable ASCII characters without blanks at its ends; leave a key out instead of giving it an empty value."
  }

  validation {
    condition     = !anytrue([for key in keys(var.settings) : can(regex("PASSWORD|SECRET|TOKEN|CREDENTIAL|PRIVATE_KEY", key))])
    error_message = "settings must not carry secrets, and a key is named like one: user data can be read by everybody who may describe the instance. Put it into the parameter store under /quarterdeck/<environment>/<service>/."
  }

  validation {
    condition     = lookup(var.settings, "ENVIRONMENT", var.environment) == var.environment
    error_message = "settings must not name another ENVIRONMENT than the variable environment does; leave it out."
  }
}

variable "ssh_public_keys" {
  description = "Public keys, by the name of whose they are, that may log in as the image's default user. Empty: sshd is left alone."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.ssh_public_keys) : can(regex("^[a-z][a-z0-9-]{0,31}$", name))])
    error_message = "A public key's name must be 1 to 32 lower-case letters, digits and hyphens and begin with a letter: the name of the person or machine whose key it is."
  }

  validation {
    condition = alltrue([
      for key in values(var.ssh_public_keys) : can(regex("^(ssh-ed25519|sk-ssh-ed25519@openssh[.]com|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]{68,}={0,2}( [^\\n\\r]*)?$", key))
    ])
    error_message = "A public key must be one line as ssh-keygen writes it, of type ssh-ed25519, ecdsa-sha2-nistp* or ssh-rsa, without options before it; never a private key."
  }
}
