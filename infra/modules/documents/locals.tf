locals {
  folder = coalesce(var.folder, "${path.module}/../../host/ssm")
  files  = { for file in fileset(local.folder, "*.yaml") : trimsuffix(file, ".yaml") => file("${local.folder}/${file}") }

  # quarterdeck-deploy.yaml becomes <name_prefix>-deploy.
  documents = { for name, text in local.files : replace(name, "/^quarterdeck-/", "${var.name_prefix}-") => text }
  contents  = { for name, text in local.documents : name => try(yamldecode(text), {}) }
}
