locals {
  environment = "control"
  name        = "quarterdeck"
  # IAM, dashboards and bucket names are shared by all regions of an account.
  regional_name = "${local.name}-${var.region}"
  tags          = { Project = "quarterdeck", Environment = local.environment, ManagedBy = "terraform" }

  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  # A second region is given the same values and neither copies back nor makes roles.
  further_regions = var.account_wide ? var.further_regions : toset([])
  replica_region  = var.account_wide ? var.replica_region : null

  # The roles are the account's; what they may touch exists once a region.
  document_arns = merge(module.documents.arns, [
    for region in local.further_regions : { for name, arn in module.documents.arns : "${name}@${region}" => replace(arn, ":${var.region}:", ":${region}:") }
  ]...)
  repository_arns = merge(module.registry.repository_arns, [
    for region in local.further_regions : { for name, arn in module.registry.repository_arns : "${name}@${region}" => replace(arn, ":${var.region}:", ":${region}:") }
  ]...)

  # What dev and prod need of this root. They read it from the parameter store, so that they need no right to this
  # root's state.
  shared = {
    repository_urls       = module.registry.repository_urls
    repository_arns       = module.registry.repository_arns
    document_arns         = module.documents.arns
    artifacts_bucket_name = module.artifacts.bucket_name
    artifacts_bucket_arn  = module.artifacts.bucket_arn
    artifacts_kms_key_arn = module.artifacts.kms_key_arn
    # IAM belongs to the account: the names are the same in a second region, where the module is not called.
    bot_role_arn          = "arn:${local.partition}:iam::${local.account}:role/${local.name}-bot"
    workload_boundary_arn = "arn:${local.partition}:iam::${local.account}:policy/${local.name}-workload-boundary"
  }
}
