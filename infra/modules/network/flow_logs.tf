# Who spoke to whom. The role may write to this one log group and is given to this account's flow logs only.

data "aws_caller_identity" "current" {
  count = var.flow_logs ? 1 : 0
}

resource "aws_cloudwatch_log_group" "flow" {
  #checkov:skip=CKV_AWS_338:how long flow logs are kept is a variable, and a year of them costs more than most networks
  count             = var.flow_logs ? 1 : 0
  name              = "/quarterdeck/flow-logs/${var.name}"
  retention_in_days = var.flow_log_retention_days
  kms_key_id        = var.flow_log_kms_key_arn
}

data "aws_iam_policy_document" "flow_trust" {
  count = var.flow_logs ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current[0].account_id]
    }
  }
}

resource "aws_iam_role" "flow" {
  count                = var.flow_logs ? 1 : 0
  name                 = "${var.name}-flow-logs-${data.aws_region.current.name}" # IAM knows no regions
  description          = "Lets flow logs of ${var.name} write to their log group"
  assume_role_policy   = data.aws_iam_policy_document.flow_trust[0].json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "flow" {
  count = var.flow_logs ? 1 : 0
  name  = "write"
  role  = aws_iam_role.flow[0].id

  # No data source: one that names a resource is read at apply whenever that resource changes, and the plan of another
  # retention would show this policy, too.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.flow[0].arn}:*"
    }]
  })
}

resource "aws_flow_log" "this" {
  count           = var.flow_logs ? 1 : 0
  vpc_id          = local.vpc_id
  traffic_type    = "ALL"
  log_destination = aws_cloudwatch_log_group.flow[0].arn
  iam_role_arn    = aws_iam_role.flow[0].arn

  tags = { Name = var.name }
}
