data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  iam     = "arn:aws:iam::${local.account}"

  environments = sort(var.environments)

  # Both forms of GitHub's subject: repositories made or renamed since 2026-07-15 send the one with the ids.
  owner      = split("/", var.github_repository)[0]
  repository = split("/", var.github_repository)[1]
  github_subjects = [
    "repo:${var.github_repository}:ref:refs/heads/${var.github_branch}",
    "repo:${local.owner}@${var.github_owner_id}/${local.repository}@${var.github_repository_id}:ref:refs/heads/${var.github_branch}",
  ]

  # ARNs are put together from names, so that a plan shows every policy in full to whoever approves it; where one thing
  # must exist before another, depends_on says so.
  oidc_provider_arn = coalesce(var.oidc_provider_arn, "${local.iam}:oidc-provider/token.actions.githubusercontent.com")
  role_names        = { for role in ["build", "bot", "plan", "apply", "team"] : role => "${var.name}-${role}" }
  role_arns         = { for role, name in local.role_names : role => "${local.iam}:role/${name}" }
  policy_names = {
    infrastructure_read = "${var.name}-infrastructure-read"
    apply_network       = "${var.name}-apply-network"
    apply_services      = "${var.name}-apply-services"
    apply_boundary      = "${var.name}-apply-boundary"
    workload_boundary   = "${var.project}-workload-boundary"
  }
  policy_arns = { for policy, name in local.policy_names : policy => "${local.iam}:policy/${name}" }

  # Instances' roles come later, in each environment's own root; two regions of one environment tell theirs apart.
  instance_role_arns = flatten([
    for environment in local.environments : [
      "${local.iam}:role/${var.project}-${environment}-instance",
      "${local.iam}:role/${var.project}-${environment}-*-instance",
    ]
  ])
  environment_role_arns    = [for environment in local.environments : "${local.iam}:role/${var.project}-${environment}-*"]
  environment_profile_arns = [for environment in local.environments : "${local.iam}:instance-profile/${var.project}-${environment}-*"]

  # Where an environment's things are named after the project, the name is the limit.
  environment_parameter_arns = flatten([
    for environment in local.environments : [
      "arn:aws:ssm:*:${local.account}:parameter/${var.project}/${environment}/*",
      "arn:aws:ssm:*:${local.account}:parameter/${var.project}/deployed/${environment}/*",
    ]
  ])
  # The image that packer built, and what control tells the environments: no secrets.
  shared_parameter_arns = [
    "arn:aws:ssm:*:${local.account}:parameter/${var.project}/control/shared",
    "arn:aws:ssm:*:${local.account}:parameter/${var.project}/host/*",
  ]

  state_objects             = "${var.state_bucket_arn}/*.tfstate"
  environment_state_objects = [for environment in local.environments : "${var.state_bucket_arn}/*/${environment}.tfstate"]

  # A key may carry a further region: quarterdeck-deploy@eu-west-1. Hosts are where the documents are.
  bot_document_arns = [for key, arn in var.document_arns : arn if contains(var.bot_documents, split("@", key)[0])]
  bot_host_arns     = [for region in sort(distinct([for arn in local.bot_document_arns : split(":", arn)[3]])) : "arn:aws:ec2:${region}:${local.account}:instance/*"]

  # The bucket of artifacts has its region in its name, and each region has one.
  artifacts_of_all_regions = replace(var.artifacts_bucket_arn, local.region, "*")
}
