locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name

  # The trail and AWS Config share one bucket: both are the account's record of what happened to it.
  records     = var.cloudtrail || var.config
  bucket_name = "${var.name}-records-${local.account}"
  trail_arn   = "arn:${local.partition}:cloudtrail:${local.region}:${local.account}:trail/${var.name}"

  # AWS's rule groups, in order. The body limit of the common set is left out: it would refuse uploads of over 8 KiB.
  managed_rules = {
    AWSManagedRulesAmazonIpReputationList = { priority = 10, counted = [] }
    AWSManagedRulesCommonRuleSet          = { priority = 20, counted = ["SizeRestrictions_BODY"] }
    AWSManagedRulesKnownBadInputsRuleSet  = { priority = 30, counted = [] }
  }
}
