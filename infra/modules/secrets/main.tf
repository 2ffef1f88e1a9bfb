locals {
  paths = {
    for key, one in var.parameters :
    key => "/quarterdeck/${var.environment}/${one.service}/${coalesce(one.name, key)}"
  }

  # Two lines on purpose: a host refuses a value of more than one line, and names the parameter. A secret that nobody has
  # given a value yet therefore stops a rollout, and never reaches a service.
  unset = "This secret has no value yet.\nSet one."
}

resource "aws_ssm_parameter" "this" {
  for_each = local.paths

  name        = each.value
  description = var.parameters[each.key].description
  type        = "SecureString"
  key_id      = var.kms_key_id

  # Sent when value_version is new, and written down nowhere. What somebody sets by other means is left alone.
  value_wo         = lookup(var.values, each.key, local.unset)
  value_wo_version = var.parameters[each.key].value_version

  # Every change sends the value, too, and a write-only one is at hand only while its version is new: a new description
  # alone would be sent with an empty value, which AWS refuses, and the apply would stop half way.
  lifecycle {
    ignore_changes = [description]
  }
}
