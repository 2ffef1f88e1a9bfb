# One instance that serves on port 80, and what it needs. Nothing else is open to the world.

data "aws_caller_identity" "current" {}

# Written by the root control.
data "aws_ssm_parameter" "shared" {
  name = "/quarterdeck/control/shared"
}

# Written by the build of the image (infra/packer).
data "aws_ssm_parameter" "ami" {
  name = "/quarterdeck/host/ami"
}

module "network" {
  source = "../../modules/network"

  name            = local.name
  cidr            = var.vpc_cidr
  az_count        = 1
  private_subnets = false
  nat             = "none"
  endpoints       = var.use_default_vpc ? [] : ["s3"]
  flow_logs       = var.flow_logs
  use_default_vpc = var.use_default_vpc

  flow_log_retention_days  = var.log_retention_days
  permissions_boundary_arn = local.shared.workload_boundary_arn
}

module "observability" {
  source = "../../modules/observability"

  name               = local.regional_name
  environment        = local.environment
  log_retention_days = var.log_retention_days
  emails             = var.alarm_emails
  pagerduty_url      = var.pagerduty_url
  instance_ids       = { host = module.host.instance_id }
  watch_bot          = var.run_bot
}

module "secrets" {
  source = "../../modules/secrets"

  environment = local.environment
  parameters  = var.secrets
  values      = var.secret_values
}

module "instance_role" {
  source = "../../modules/instance_role"

  name                  = local.regional_name
  environment           = local.environment
  repository_arns       = local.shared.repository_arns
  parameter_prefix      = "/quarterdeck/${local.environment}"
  artifacts_bucket_arn  = local.shared.artifacts_bucket_arn
  artifacts_kms_key_arn = local.shared.artifacts_kms_key_arn
  log_group_arns        = module.observability.log_group_arns
  bot_role_arn          = var.run_bot ? local.shared.bot_role_arn : null

  permissions_boundary_arn = local.shared.workload_boundary_arn
}

module "host" {
  source = "../../modules/host"

  name                  = local.name
  environment           = local.environment
  vpc_id                = module.network.vpc_id
  subnet_id             = module.network.public_subnet_ids[0]
  ami_id                = data.aws_ssm_parameter.ami.insecure_value
  instance_type         = var.instance_type
  root_volume_gib       = var.root_volume_gib
  instance_profile_name = module.instance_role.instance_profile_name
  http_cidrs            = var.http_cidrs
  monitoring_cidrs      = var.monitoring_cidrs
  ssh                   = var.ssh
  elastic_ip            = var.elastic_ip
  detailed_monitoring   = var.detailed_monitoring
  settings              = local.settings
}

module "backup" {
  source = "../../modules/backup"

  name        = local.regional_name
  environment = local.environment
  snapshots   = var.enable_snapshots
  keep_days   = var.snapshot_keep_days

  permissions_boundary_arn = local.shared.workload_boundary_arn
}
