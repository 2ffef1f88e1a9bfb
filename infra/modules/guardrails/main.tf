data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

# What the trail and AWS Config write, and the key that it is encrypted with.

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:A key's policy speaks of its own key only; the account's IAM policies say who may use it.
  #checkov:skip=CKV_AWS_111:A key's policy speaks of its own key only; the account's IAM policies say who may use it.
  #checkov:skip=CKV_AWS_356:In a key's policy the resource * is the key itself; it cannot be written otherwise.
  count = local.records ? 1 : 0

  statement {
    sid       = "AccountDecidesByIam"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }

  statement {
    sid       = "TrailEncrypts"
    actions   = ["kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudtrail.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceArn"
      values   = [local.trail_arn]
    }
  }
}

resource "aws_kms_key" "records" {
  count = local.records ? 1 : 0

  description             = "Encrypts the account's records (CloudTrail, AWS Config)"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key[0].json
}

resource "aws_s3_bucket" "records" {
  #checkov:skip=CKV_AWS_18:The trail itself records who reads the account; a log of the log's reads would need a bucket without one.
  #checkov:skip=CKV_AWS_144:A second copy of the records is left to the organisation; it would double their cost.
  #checkov:skip=CKV2_AWS_62:Nobody waits for new files here; findings come from GuardDuty.
  count = local.records ? 1 : 0

  bucket        = local.bucket_name
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_public_access_block" "records" {
  count = local.records ? 1 : 0

  bucket                  = aws_s3_bucket.records[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "records" {
  count = local.records ? 1 : 0

  bucket = aws_s3_bucket.records[0].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "records" {
  count = local.records ? 1 : 0

  bucket = aws_s3_bucket.records[0].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "records" {
  count = local.records ? 1 : 0

  bucket = aws_s3_bucket.records[0].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.records[0].arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "records" {
  count = local.records ? 1 : 0

  bucket = aws_s3_bucket.records[0].id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    expiration {
      days = var.log_retention_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

data "aws_iam_policy_document" "records" {
  count = local.records ? 1 : 0

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.records[0].arn, "${aws_s3_bucket.records[0].arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = var.cloudtrail ? toset(["cloudtrail"]) : toset([])

    content {
      sid       = "TrailLooks"
      actions   = ["s3:GetBucketAcl"]
      resources = [aws_s3_bucket.records[0].arn]

      principals {
        type        = "Service"
        identifiers = ["cloudtrail.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceArn"
        values   = [local.trail_arn]
      }
    }
  }

  dynamic "statement" {
    for_each = var.cloudtrail ? toset(["cloudtrail"]) : toset([])

    content {
      sid       = "TrailWrites"
      actions   = ["s3:PutObject"]
      resources = ["${aws_s3_bucket.records[0].arn}/cloudtrail/AWSLogs/${local.account}/*"]

      principals {
        type        = "Service"
        identifiers = ["cloudtrail.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceArn"
        values   = [local.trail_arn]
      }

      condition {
        test     = "StringEquals"
        variable = "s3:x-amz-acl"
        values   = ["bucket-owner-full-control"]
      }
    }
  }
}

resource "aws_s3_bucket_policy" "records" {
  count = local.records ? 1 : 0

  bucket = aws_s3_bucket.records[0].id
  policy = data.aws_iam_policy_document.records[0].json

  depends_on = [aws_s3_bucket_public_access_block.records]
}

# CloudTrail: who did what, in all regions, with a digest file an hour that shows later tampering.

resource "aws_cloudtrail" "account" {
  #checkov:skip=CKV2_AWS_10:The files in the bucket are the record; a second copy in CloudWatch costs by the GB and nobody watches it.
  #checkov:skip=CKV_AWS_252:A message for each file that is delivered would tell nobody anything; GuardDuty reads the trail.
  count = var.cloudtrail ? 1 : 0

  name                          = var.name
  s3_bucket_name                = aws_s3_bucket.records[0].id
  s3_key_prefix                 = "cloudtrail"
  kms_key_id                    = aws_kms_key.records[0].arn
  is_multi_region_trail         = true
  include_global_service_events = true
  enable_log_file_validation    = true

  depends_on = [aws_s3_bucket_policy.records]
}

# GuardDuty: signs of a break-in, from the trail, flow logs and DNS, without an agent.

resource "aws_guardduty_detector" "region" {
  #checkov:skip=CKV2_AWS_3:The detector is on; the check wants a delegated administrator of an organisation, which one account has not.
  count = var.guardduty ? 1 : 0

  enable                       = true
  finding_publishing_frequency = "FIFTEEN_MINUTES"
}

# AWS Config: how each resource was configured, and when that changed.

data "aws_iam_policy_document" "config_trust" {
  count = var.config ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["config.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "config" {
  count = var.config ? 1 : 0

  statement {
    sid       = "Deliver"
    actions   = ["s3:PutObject", "s3:PutObjectAcl"]
    resources = ["${aws_s3_bucket.records[0].arn}/config/AWSLogs/${local.account}/*"]
  }

  statement {
    sid       = "LookBeforeDelivering"
    actions   = ["s3:GetBucketAcl", "s3:ListBucket"]
    resources = [aws_s3_bucket.records[0].arn]
  }

  statement {
    sid       = "Encrypt"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [aws_kms_key.records[0].arn]
  }
}

resource "aws_iam_role" "config" {
  count = var.config ? 1 : 0

  name               = "${var.name}-config"
  description        = "AWS Config reads how resources are configured and writes it to the records bucket"
  assume_role_policy = data.aws_iam_policy_document.config_trust[0].json
}

resource "aws_iam_role_policy_attachment" "config" {
  count = var.config ? 1 : 0

  role       = aws_iam_role.config[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AWS_ConfigRole"
}

resource "aws_iam_role_policy" "config" {
  count = var.config ? 1 : 0

  name   = "deliver-to-records"
  role   = aws_iam_role.config[0].id
  policy = data.aws_iam_policy_document.config[0].json
}

resource "aws_config_configuration_recorder" "region" {
  count = var.config ? 1 : 0

  name     = var.name
  role_arn = aws_iam_role.config[0].arn

  recording_group {
    all_supported                 = true
    include_global_resource_types = var.config_global_resources
  }
}

resource "aws_config_delivery_channel" "region" {
  count = var.config ? 1 : 0

  name           = var.name
  s3_bucket_name = aws_s3_bucket.records[0].id
  s3_key_prefix  = "config"
  s3_kms_key_arn = aws_kms_key.records[0].arn

  snapshot_delivery_properties {
    delivery_frequency = "TwentyFour_Hours"
  }

  depends_on = [aws_config_configuration_recorder.region, aws_iam_role_policy.config]
}

resource "aws_config_configuration_recorder_status" "region" {
  count = var.config ? 1 : 0

  name       = aws_config_configuration_recorder.region[0].name
  is_enabled = true

  depends_on = [aws_config_delivery_channel.region]
}

# The budget: of the whole account, since somebody else's instance is on the same bill.

resource "aws_budgets_budget" "month" {
  count = var.monthly_budget_usd == null ? 0 : 1

  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  dynamic "notification" {
    for_each = { spent_80 = ["ACTUAL", 80], spent_100 = ["ACTUAL", 100], forecast_100 = ["FORECASTED", 100] }

    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = notification.value[0]
      threshold                  = tonumber(notification.value[1])
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.budget_emails
    }
  }
}

# The web ACL before the load balancer.

resource "aws_wafv2_web_acl" "load_balancer" {
  #checkov:skip=CKV_AWS_192:AWSManagedRulesKnownBadInputsRuleSet, which blocks Log4j lookups, is among local.managed_rules; the check does not read dynamic blocks.
  count = var.waf ? 1 : 0

  name        = var.name
  description = "AWS managed rules and a rate limit before the load balancer"
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  dynamic "rule" {
    for_each = local.managed_rules

    content {
      name     = rule.key
      priority = rule.value.priority

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key

          dynamic "rule_action_override" {
            for_each = rule.value.counted

            content {
              name = rule_action_override.value

              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = true
      }
    }
  }

  rule {
    name     = "requests-of-one-address"
    priority = 40

    action {
      block {}
    }

    statement {
      rate_based_statement {
        limit              = var.waf_requests_per_5_minutes
        aggregate_key_type = "IP"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "requests-of-one-address"
      sampled_requests_enabled   = true
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = true
  }
}

resource "aws_wafv2_web_acl_association" "load_balancer" {
  count = var.waf ? 1 : 0

  resource_arn = var.waf_load_balancer_arn
  web_acl_arn  = aws_wafv2_web_acl.load_balancer[0].arn
}

# AWS wants the name of a web ACL's log group to begin with aws-waf-logs-.
resource "aws_cloudwatch_log_group" "waf" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts every log with a key of its own; addresses and paths of blocked requests need no other.
  count = var.waf ? 1 : 0

  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.waf_log_retention_days
}

resource "aws_wafv2_web_acl_logging_configuration" "load_balancer" {
  count = var.waf ? 1 : 0

  resource_arn            = aws_wafv2_web_acl.load_balancer[0].arn
  log_destination_configs = [aws_cloudwatch_log_group.waf[0].arn]

  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }

      condition {
        action_condition {
          action = "COUNT"
        }
      }
    }
  }

  # Sessions and tokens are nobody's business in a log.
  redacted_fields {
    single_header {
      name = "authorization"
    }
  }

  redacted_fields {
    single_header {
      name = "cookie"
    }
  }
}
