data "aws_region" "current" {}

locals {
  settings = merge({ ENVIRONMENT = var.environment, REGION = data.aws_region.current.name }, var.settings)

  # Type and key only: the comment is free text, and the name under which the key was given says more.
  authorized_keys = [
    for name, key in var.ssh_public_keys : join(" ", concat(slice(split(" ", key), 0, 2), ["quarterdeck-${name}"]))
  ]
}
