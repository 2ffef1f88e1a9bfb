resource "aws_ssm_document" "this" {
  for_each = local.documents

  name            = each.key
  document_type   = "Command"
  document_format = "YAML"
  target_type     = "/AWS::EC2::Instance"
  content         = each.value

  # What somebody typed must reach a script as a value and never as a piece of it.
  lifecycle {
    precondition {
      condition     = try(local.contents[each.key].schemaVersion, "") == "2.2"
      error_message = "${each.key}: the document must be YAML with schemaVersion \"2.2\"."
    }
    precondition {
      condition = alltrue([
        for parameter in values(try(local.contents[each.key].parameters, {})) :
        try(parameter.interpolationType, "") == "ENV_VAR"
      ])
      error_message = "${each.key}: each parameter must have interpolationType ENV_VAR; otherwise its text becomes part of the script."
    }
    precondition {
      condition = alltrue([
        for parameter in values(try(local.contents[each.key].parameters, {})) :
        try(startswith(parameter.allowedPattern, "^") && endswith(parameter.allowedPattern, "$"), false)
      ])
      error_message = "${each.key}: each parameter must have an allowedPattern from ^ to $."
    }
    precondition {
      condition     = !can(regex("\\{\\{", each.value))
      error_message = "${each.key}: {{ ... }} pastes text into the script; use the environment variable SSM_<parameter>."
    }
  }
}
