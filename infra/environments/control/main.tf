# What exists once an account and region, whatever environments there are: images, documents, artifacts, who may do
# what, and the guardrails. Destroying an environment never touches any of it.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

module "registry" {
  source = "../../modules/registry"

  repositories = var.repositories
  keep_images  = var.keep_images
  force_delete = var.force_destroy
}

module "documents" {
  source = "../../modules/documents"
}

module "artifacts" {
  source = "../../modules/artifacts"

  name          = local.name
  force_destroy = var.force_destroy
}

module "identity" {
  source = "../../modules/identity"
  count  = var.account_wide ? 1 : 0

  name                  = local.name
  github_repository     = var.github_repository
  github_owner_id       = var.github_owner_id
  github_repository_id  = var.github_repository_id
  github_branch         = var.github_branch
  create_oidc_provider  = var.oidc_provider_arn == null
  oidc_provider_arn     = var.oidc_provider_arn
  repository_arns       = local.repository_arns
  document_arns         = local.document_arns
  environments          = var.environments
  artifacts_bucket_arn  = module.artifacts.bucket_arn
  artifacts_kms_key_arn = module.artifacts.kms_key_arn
  state_bucket_arn      = "arn:${local.partition}:s3:::${var.state_bucket_name}"
  state_kms_key_arn     = var.state_kms_key_arn
  team_trusted_arns     = var.team_trusted_arns
  hosted_zone_ids       = var.hosted_zone_ids
}

module "guardrails" {
  source = "../../modules/guardrails"

  name                    = local.regional_name
  cloudtrail              = var.cloudtrail && var.account_wide
  guardduty               = var.guardduty
  config                  = var.config
  config_global_resources = var.account_wide
  monthly_budget_usd      = var.account_wide ? var.monthly_budget_usd : null
  budget_emails           = var.budget_emails
  force_destroy           = var.force_destroy
}

module "state_replica" {
  source = "../../modules/state_replica"
  count  = local.replica_region == null ? 0 : 1

  providers = { aws = aws.replica }

  bucket_name   = "${var.state_bucket_name}-replica"
  force_destroy = var.force_destroy
}

module "backup" {
  source = "../../modules/backup"

  name                      = local.regional_name
  environment               = local.environment
  image_replication_regions = local.further_regions

  state_replication = local.replica_region == null ? null : {
    bucket_name         = var.state_bucket_name
    kms_key_arn         = var.state_kms_key_arn
    replica_bucket_arn  = module.state_replica[0].bucket_arn
    replica_kms_key_arn = module.state_replica[0].kms_key_arn
  }
}

resource "aws_ssm_parameter" "shared" {
  #checkov:skip=CKV2_AWS_34:Names and ARNs are no secret, and every plan of dev and prod shows them.
  name           = "/quarterdeck/control/shared"
  description    = "What the environments of this region need of the control root (JSON); written by Terraform"
  type           = "String"
  insecure_value = jsonencode(local.shared)
}
