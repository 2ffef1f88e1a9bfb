# Two or more instances in private subnets over two zones, behind a load balancer with TLS.

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
  az_count        = var.az_count
  private_subnets = true
  nat             = var.nat
  endpoints       = var.endpoints
  flow_logs       = var.flow_logs

  flow_log_retention_days  = var.log_retention_days
  permissions_boundary_arn = local.shared.workload_boundary_arn
}

module "observability" {
  source = "../../modules/observability"

  name                     = local.regional_name
  environment              = local.environment
  log_retention_days       = var.log_retention_days
  emails                   = var.alarm_emails
  pagerduty_url            = var.pagerduty_url
  instance_ids             = {}
  autoscaling_group_name   = module.fleet.autoscaling_group_name
  load_balancer_arn_suffix = module.fleet.load_balancer_arn_suffix
  target_group_arn_suffix  = module.fleet.target_group_arn_suffix
  watch_fleet              = true
  watch_load_balancer      = true
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
  watches               = var.watched

  permissions_boundary_arn = local.shared.workload_boundary_arn
}

module "fleet" {
  source = "../../modules/fleet"

  name                  = local.name
  environment           = local.environment
  vpc_id                = module.network.vpc_id
  public_subnet_ids     = module.network.public_subnet_ids
  private_subnet_ids    = module.network.private_subnet_ids
  ami_id                = data.aws_ssm_parameter.ami.insecure_value
  instance_type         = var.instance_type
  root_volume_gib       = var.root_volume_gib
  instance_profile_name = module.instance_role.instance_profile_name
  settings              = local.settings
  min_size              = var.min_size
  max_size              = var.max_size
  certificate_arn       = var.certificate_arn
  health_path           = var.health_path
  cpu_target_percent    = var.cpu_target_percent
  memory_target_percent = var.memory_target_percent
  ingress_cidrs         = var.ingress_cidrs
  watched               = var.watched
  replace_unhealthy     = var.replace_unhealthy
  deletion_protection   = var.deletion_protection
}

module "guardrails" {
  source = "../../modules/guardrails"

  name                   = local.regional_name
  waf                    = var.enable_waf
  waf_load_balancer_arn  = module.fleet.load_balancer_arn
  waf_log_retention_days = var.log_retention_days
}

module "backup" {
  source = "../../modules/backup"

  name        = local.regional_name
  environment = local.environment
  snapshots   = var.enable_snapshots
  keep_days   = var.snapshot_keep_days

  permissions_boundary_arn = local.shared.workload_boundary_arn
}

module "failover" {
  source = "../../modules/failover"

  enabled = var.failover != null
  name    = local.name
  zone_id = try(var.failover.zone_id, null)
  domain  = try(var.failover.domain, null)

  primary = {
    dns_name    = module.fleet.load_balancer_dns_name
    zone_id     = module.fleet.load_balancer_zone_id
    health_path = var.health_path
  }

  secondary = try(var.failover.secondary, null)
}
