# ---- where and from what ---------------------------------------------------------------------------------------------

variable "region" {
  type        = string
  default     = "eu-central-1"
  description = "The AWS region in which the image is built and its id recorded."

  validation {
    condition     = var.region != "" && regex_replace(var.region, "^[a-z]{2}(-[a-z]+)+-[0-9]$", "") == ""
    error_message = "The region must be the name of an AWS region, such as eu-central-1."
  }
}

variable "base_image_name" {
  type        = string
  default     = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"
  description = "The name of the image to begin with; the newest that matches is taken. Another Ubuntu LTS needs docker_suite and docker_packages, too."
}

variable "base_image_owner" {
  type        = string
  default     = "099720109477"
  description = "Who publishes the image to begin with: an account id (Canonical's is the default), or self."

  validation {
    condition     = var.base_image_owner != "" && regex_replace(var.base_image_owner, "^([0-9]{12}|self|amazon)$", "") == ""
    error_message = "The owner must be an account id of twelve digits, self or amazon."
  }
}

variable "instance_type" {
  type        = string
  default     = "t3.medium"
  description = "The type of the instance on which the image is built."
}

variable "root_volume_gib" {
  type        = number
  default     = 12
  description = "The size of the image's root volume; instances may have larger ones, never smaller ones."

  validation {
    condition     = var.root_volume_gib >= 8 && var.root_volume_gib <= 100
    error_message = "The image's root volume must be of 8 to 100 GiB."
  }
}

variable "parameter" {
  type        = string
  default     = "/quarterdeck/host/ami"
  description = "The SSM parameter that gets the image's id; Terraform reads it."

  validation {
    condition     = var.parameter != "" && regex_replace(var.parameter, "^(/[A-Za-z0-9_.-]+){2,}$", "") == ""
    error_message = "The parameter's name must be a path, such as /quarterdeck/host/ami."
  }
}

variable "commit" {
  type        = string
  default     = "unknown"
  description = "The commit of this repository, for the image's tags."

  validation {
    condition     = var.commit != "" && regex_replace(var.commit, "^([0-9a-f]{7,40}|unknown)$", "") == ""
    error_message = "The commit must be of 7 to 40 hexadecimal digits; leave it out if it is not known."
  }
}

variable "manifest" {
  type        = string
  default     = "manifest.json"
  description = "The file into which Packer writes what it built, relative to where it is started."
}

variable "python" {
  type        = string
  default     = "python3"
  description = "The Python with boto3 that records the image's id."
}

# ---- the way in ------------------------------------------------------------------------------------------------------

variable "ssh_cidrs" {
  type        = list(string)
  description = "From where Packer reaches the instance by SSH while it builds: your own address, such as [\"203.0.113.7/32\"]."

  validation {
    condition     = length(var.ssh_cidrs) > 0 && ! contains(var.ssh_cidrs, "0.0.0.0/0") && ! contains(var.ssh_cidrs, "::/0")
    error_message = "Name your own address, such as [\"203.0.113.7/32\"]; the whole internet is not let in."
  }
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "The subnet to build in; empty: the default VPC."
}

variable "ssh_host" {
  type        = string
  default     = ""
  description = "Another way to the instance's SSH than its own address; with ssh_port and ssh_private_key_file."
}

variable "ssh_port" {
  type    = number
  default = 22
}

variable "ssh_private_key_file" {
  type        = string
  default     = ""
  description = "The key of that other way; empty: Packer makes a key for this one build."
}

variable "ec2_endpoint" {
  type        = string
  default     = ""
  description = "Another address of the EC2 API."
}

# ---- what is installed -----------------------------------------------------------------------------------------------
# Everything that comes from outside Ubuntu's own repositories has an exact version and a checksum here. Docker's packages
# are checked by apt with the key whose checksum stands here.

variable "docker_repository" {
  type        = string
  default     = "https://download.docker.com/linux/ubuntu"
  description = "Docker's apt repository; its signing key is the file gpg in it."

  validation {
    condition     = var.docker_repository != "" && regex_replace(var.docker_repository, "^(https://|http://127\\.0\\.0\\.1[:/])[^ ']+[^ '/]$", "") == ""
    error_message = "The repository must be an https address without a slash at its end."
  }
}

variable "docker_suite" {
  type        = string
  default     = "jammy"
  description = "The suite of Docker's repository: the code name of the Ubuntu release."

  validation {
    condition     = var.docker_suite != "" && regex_replace(var.docker_suite, "^[a-z]+$", "") == ""
    error_message = "The suite must be the code name of an Ubuntu release, such as jammy."
  }
}

variable "docker_key_sha256" {
  type        = string
  default     = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
  description = "The SHA-256 of the repository's signing key."

  validation {
    condition     = regex_replace(var.docker_key_sha256, "^[0-9a-f]{64}$", "") == "" && var.docker_key_sha256 != ""
    error_message = "The checksum must be of 64 hexadecimal digits."
  }
}

variable "docker_packages" {
  type = list(string)
  default = [
    "docker-ce=5:28.5.2-1~ubuntu.22.04~jammy",
    "docker-ce-cli=5:28.5.2-1~ubuntu.22.04~jammy",
    "containerd.io=1.7.28-2~ubuntu.22.04~jammy",
    "docker-compose-plugin=2.40.3-1~ubuntu.22.04~jammy",
  ]
  description = "The packages of Docker Engine and its compose plugin, each with its exact version."

  validation {
    condition     = length(var.docker_packages) > 0 && length([for p in var.docker_packages : p if regex_replace(p, "^[a-z0-9.+-]+=[A-Za-z0-9.+:~-]+$", "") != ""]) == 0
    error_message = "Each package must be NAME=VERSION."
  }
}

variable "aws_cli_version" {
  type        = string
  default     = "2.36.7"
  description = "The version of the AWS CLI."

  validation {
    condition     = var.aws_cli_version != "" && regex_replace(var.aws_cli_version, "^2\\.[0-9]+\\.[0-9]+$", "") == ""
    error_message = "The AWS CLI must be of version 2, such as 2.36.7."
  }
}

variable "aws_cli_source" {
  type        = string
  default     = "https://awscli.amazonaws.com"
  description = "From where the AWS CLI's installer comes."

  validation {
    condition     = var.aws_cli_source != "" && regex_replace(var.aws_cli_source, "^(https://|http://127\\.0\\.0\\.1[:/])[^ ']+[^ '/]$", "") == ""
    error_message = "The source must be an https address without a slash at its end."
  }
}

variable "aws_cli_sha256" {
  type        = string
  default     = "d641283d37f1a2168457a9f26a20d4e29167652e9ab1719b37114ef1ebe859f4"
  description = "The SHA-256 of awscli-exe-linux-x86_64-VERSION.zip."

  validation {
    condition     = regex_replace(var.aws_cli_sha256, "^[0-9a-f]{64}$", "") == "" && var.aws_cli_sha256 != ""
    error_message = "The checksum must be of 64 hexadecimal digits."
  }
}

variable "ssm_agent_version" {
  type        = string
  description = "The version of the SSM agent: 3.3.2746.0 or newer, which pass parameters as variables."

  validation {
    condition     = var.ssm_agent_version != "" && regex_replace(var.ssm_agent_version, "^3\\.([3-9]|[1-9][0-9]+)\\.[0-9]+\\.[0-9]+$", "") == ""
    error_message = "The SSM agent must be of version 3.3.2746.0 or newer."
  }
}

variable "ssm_agent_source" {
  type        = string
  default     = ""
  description = "From where the SSM agent comes; empty: Amazon's bucket in the region."

  validation {
    condition     = regex_replace(var.ssm_agent_source, "^(https://|http://127\\.0\\.0\\.1[:/])[^ ']+[^ '/]$", "") == ""
    error_message = "The source must be an https address without a slash at its end."
  }
}

variable "ssm_agent_sha256" {
  type        = string
  description = "The SHA-256 of that version's debian_amd64/amazon-ssm-agent.deb; README.md has the commands that find it."

  validation {
    condition     = regex_replace(var.ssm_agent_sha256, "^[0-9a-f]{64}$", "") == "" && var.ssm_agent_sha256 != ""
    error_message = "The checksum must be of 64 hexadecimal digits; README.md has the commands that find it."
  }
}
