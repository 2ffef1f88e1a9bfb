# The boundary of every role that an environment's root makes: hosts, flow logs, snapshots. It grants nothing by itself;
# apply may make no role without it, so that no workload ever holds more than this.

data "aws_iam_policy_document" "workload_boundary" {
  #checkov:skip=CKV_AWS_111:a boundary grants nothing by itself; the policies inside it name their resources
  #checkov:skip=CKV_AWS_356:a boundary grants nothing by itself; the policies inside it name their resources

  statement {
    sid = "HostsAndTheirAgent"
    actions = [
      "cloudwatch:PutMetricData",
      "ec2messages:*",
      "ecr:BatchGetImage",
      "ecr:GetAuthorizationToken",
      "ecr:GetDownloadUrlForLayer",
      "ssm:ListInstanceAssociations",
      "ssm:UpdateInstanceInformation",
      "ssmmessages:*",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["arn:aws:logs:*:${local.account}:*"]
  }

  statement {
    sid       = "Parameters"
    actions   = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:PutParameter"]
    resources = local.environment_parameter_arns
  }

  statement {
    sid       = "Artifacts"
    actions   = ["s3:GetObject", "s3:ListBucket", "s3:PutObject"]
    resources = [local.artifacts_of_all_regions, "${local.artifacts_of_all_regions}/*"]
  }

  statement {
    sid       = "KeysThroughServicesOnly"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["arn:aws:kms:*:${local.account}:key/*"]

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["s3.*.amazonaws.com", "ssm.*.amazonaws.com"]
    }
  }

  statement {
    sid = "Snapshots"
    actions = [
      "ec2:CopySnapshot",
      "ec2:CreateImage",
      "ec2:CreateSnapshot",
      "ec2:CreateSnapshots",
      "ec2:CreateTags",
      "ec2:DeleteSnapshot",
      "ec2:DeregisterImage",
      "ec2:DescribeImages",
      "ec2:DescribeInstances",
      "ec2:DescribeRegions",
      "ec2:DescribeSnapshots",
      "ec2:DescribeVolumes",
      "ec2:EnableImageDeprecation",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "TheBotOnItsHost"
    actions   = ["sts:AssumeRole"]
    resources = [local.role_arns.bot]
  }
}

resource "aws_iam_policy" "workload_boundary" {
  name        = local.policy_names.workload_boundary
  description = "The most that a role of an environment can hold; apply makes no role without it."
  policy      = data.aws_iam_policy_document.workload_boundary.json
}
