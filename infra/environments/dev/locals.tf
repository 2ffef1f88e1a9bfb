locals {
  environment = "dev"
  name        = "quarterdeck-dev"
  # IAM and dashboards are shared by all regions of an account.
  regional_name = "${local.name}-${var.region}"
  tags          = { Project = "quarterdeck", Environment = local.environment, ManagedBy = "terraform" }

  shared   = jsondecode(data.aws_ssm_parameter.shared.insecure_value)
  registry = "${data.aws_caller_identity.current.account_id}.dkr.ecr.${var.region}.amazonaws.com"

  # What the host's scripts read (infra/host/README.md).
  settings = merge({
    REGISTRY         = local.registry
    FRONT_URL_APP    = "http://127.0.0.1:80"
    ARTIFACTS_BUCKET = local.shared.artifacts_bucket_name
    # Where containers' output goes, and where it is noted what serves, for the next boot or the next instance.
    LOG_GROUP_PREFIX    = "/quarterdeck/${local.environment}"
    DEPLOYED_PARAMETERS = "/quarterdeck/deployed/${local.environment}"
  }, var.run_bot ? { BOT_ROLE_ARN = local.shared.bot_role_arn } : {}, var.settings)
}
