# What a host may do at AWS: be a managed instance, pull images, read what is its own, write its logs and metrics.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name

  # A question by path is about the path itself, whichever way it is written; a parameter lies below it.
  parameters = "arn:aws:ssm:${local.region}:${local.account}:parameter"
  project    = split("/", var.parameter_prefix)[1]
  own        = ["${local.parameters}${var.parameter_prefix}", "${local.parameters}${var.parameter_prefix}/*"]
  noted_path = "${local.parameters}/${local.project}/deployed/${var.environment}"
  noted      = [local.noted_path, "${local.noted_path}/*"]
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "Instances"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "instance" {
  #checkov:skip=CKV_AWS_111:only the agent, the login to the registry, metrics of own namespaces and the search for hosts have a star: these know no resources
  #checkov:skip=CKV_AWS_356:only the agent, the login to the registry, metrics of own namespaces and the search for hosts have a star: these know no resources

  # In place of AmazonSSMManagedInstanceCore, which also reads every parameter of the account.
  statement {
    sid = "ManagedInstance"
    actions = [
      "ec2messages:AcknowledgeMessage",
      "ec2messages:DeleteMessage",
      "ec2messages:FailMessage",
      "ec2messages:GetEndpoint",
      "ec2messages:GetMessages",
      "ec2messages:SendReply",
      "ssm:ListInstanceAssociations",
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"] # the services themselves bind these to the instance that calls
  }

  statement {
    sid       = "LogInToTheRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # the action knows no resources
  }

  statement {
    sid       = "PullImages"
    actions   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = values(var.repository_arns)
  }

  statement {
    sid       = "ReadOwnParameters"
    actions   = ["ssm:GetParametersByPath"]
    resources = local.own
  }

  statement {
    sid       = "NoteWhatServes"
    actions   = ["ssm:GetParameter", "ssm:GetParametersByPath", "ssm:PutParameter"]
    resources = local.noted
  }

  # Whatever key a parameter is encrypted with: only through Parameter Store, and only for a parameter of one's own.
  statement {
    sid       = "DecryptOwnParameters"
    actions   = ["kms:Decrypt"]
    resources = ["arn:aws:kms:${local.region}:${local.account}:key/*"]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["ssm.${local.region}.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:PARAMETER_ARN"
      values   = local.own
    }
  }

  # Also when somebody attaches a managed policy that reads all parameters.
  statement {
    sid    = "NoParametersOfOthers"
    effect = "Deny"
    actions = [
      "ssm:GetParameter",
      "ssm:GetParameterHistory",
      "ssm:GetParameters",
      "ssm:GetParametersByPath",
    ]
    not_resources = concat(local.own, local.noted)
  }

  statement {
    sid     = "ReadArtifacts"
    actions = ["s3:GetObject"]
    resources = [
      "${var.artifacts_bucket_arn}/backups/${var.environment}/*",
      "${var.artifacts_bucket_arn}/data/${var.environment}/*",
      "${var.artifacts_bucket_arn}/monitoring/*",
    ]
  }

  # The bucket is versioned and nothing here deletes: a host cannot destroy a backup, its own neither.
  statement {
    sid       = "WriteBackups"
    actions   = ["s3:PutObject"]
    resources = ["${var.artifacts_bucket_arn}/backups/${var.environment}/*"]
  }

  statement {
    sid       = "ListArtifacts"
    actions   = ["s3:ListBucket"]
    resources = [var.artifacts_bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["backups/${var.environment}/*", "data/${var.environment}/*", "monitoring/*"]
    }
  }

  statement {
    sid       = "UseArtifactsKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.artifacts_kms_key_arn]

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["s3.*.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "kms:EncryptionContext:aws:s3:arn"
      values   = [var.artifacts_bucket_arn, "${var.artifacts_bucket_arn}/*"]
    }
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = flatten([for arn in values(var.log_group_arns) : [arn, "${arn}:*"]])
  }

  statement {
    sid       = "PutMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # the action knows no resources

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = var.metric_namespaces
    }
  }

  # Prometheus looks for its targets. The action knows neither resources nor tags: who may look sees the region's instances.
  dynamic "statement" {
    for_each = var.watches ? [local.region] : []

    content {
      sid       = "FindHostsToWatch"
      actions   = ["ec2:DescribeInstances"]
      resources = ["*"]

      condition {
        test     = "StringEquals"
        variable = "aws:RequestedRegion"
        values   = [statement.value]
      }
    }
  }

  dynamic "statement" {
    for_each = var.bot_role_arn == null ? [] : [var.bot_role_arn]

    content {
      sid       = "TakeTheBotsRole"
      actions   = ["sts:AssumeRole"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = "${var.name}-instance"
  description          = "Hosts of ${var.environment}${var.bot_role_arn == null ? "" : "; the bot runs here"}."
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "this" {
  name   = "host"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.instance.json
}

resource "aws_iam_instance_profile" "this" {
  name = "${var.name}-instance"
  role = aws_iam_role.this.name
}
