# The team: sees what there is, and with a second factor opens sessions on hosts and reads the state.

data "aws_iam_policy_document" "team_trust" {
  statement {
    sid     = "Team"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = var.team_trusted_arns
    }
  }
}

data "aws_iam_policy_document" "team" {
  #checkov:skip=CKV_AWS_356:only reading of query results and of who has a session has a star: these actions know no resources

  statement {
    sid = "ReadLogs"
    actions = [
      "logs:DescribeLogStreams",
      "logs:FilterLogEvents",
      "logs:GetLogEvents",
      "logs:StartQuery",
    ]
    resources = ["arn:aws:logs:*:${local.account}:log-group:/${var.project}/*"]
  }

  statement {
    sid       = "ReadQueries"
    actions   = ["logs:GetQueryResults", "logs:StopQuery"]
    resources = ["*"] # these know only the query's id
  }

  # A session needs both: the host and the document. The check makes AWS ask for the right to the document, too.
  statement {
    sid       = "OpenSessions"
    actions   = ["ssm:StartSession"]
    resources = ["arn:aws:ec2:*:${local.account}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/Project"
      values   = [var.project]
    }

    condition {
      test     = "BoolIfExists"
      variable = "ssm:SessionDocumentAccessCheck"
      values   = ["true"]
    }

    condition {
      test     = "Bool"
      variable = "aws:MultiFactorAuthPresent"
      values   = ["true"]
    }
  }

  statement {
    sid     = "ShellAndPortForwarding"
    actions = ["ssm:StartSession"]
    resources = [
      "arn:aws:ssm:*:${local.account}:document/SSM-SessionManagerRunShell",
      "arn:aws:ssm:*::document/AWS-StartPortForwardingSession",
    ]

    condition {
      test     = "Bool"
      variable = "aws:MultiFactorAuthPresent"
      values   = ["true"]
    }
  }

  # Systems Manager User Guide, "Quickstart end user policies for Session Manager" (2026).
  statement {
    sid       = "SpeakInOwnSessions"
    actions   = ["ssmmessages:OpenDataChannel"]
    resources = ["arn:aws:ssm:*:${local.account}:session/&{aws:userid}-*"]

    condition {
      test     = "Bool"
      variable = "aws:MultiFactorAuthPresent"
      values   = ["true"]
    }
  }

  # Ending takes no second factor: closing a door is never the danger. AWS puts the tag on each session by itself.
  statement {
    sid       = "EndOwnSessions"
    actions   = ["ssm:ResumeSession", "ssm:TerminateSession"]
    resources = ["arn:aws:ssm:*:${local.account}:session/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/aws:ssmmessages:session-id"
      values   = ["&{aws:userid}"]
    }
  }

  statement {
    sid       = "SeeSessions"
    actions   = ["ssm:DescribeSessions", "ssm:GetConnectionStatus"]
    resources = ["*"]
  }

  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket", "s3:ListBucketVersions"]
    resources = [var.state_bucket_arn]

    condition {
      test     = "Bool"
      variable = "aws:MultiFactorAuthPresent"
      values   = ["true"]
    }
  }

  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = [local.state_objects, "${local.state_objects}.tflock"]

    condition {
      test     = "Bool"
      variable = "aws:MultiFactorAuthPresent"
      values   = ["true"]
    }
  }

  statement {
    sid       = "DecryptState"
    actions   = ["kms:Decrypt"]
    resources = [var.state_kms_key_arn]

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["s3.*.amazonaws.com"]
    }

    condition {
      test     = "Bool"
      variable = "aws:MultiFactorAuthPresent"
      values   = ["true"]
    }
  }

  # Also when somebody attaches a wider policy one day.
  statement {
    sid    = "NoSecrets"
    effect = "Deny"
    actions = [
      "secretsmanager:GetSecretValue",
      "ssm:GetParameter",
      "ssm:GetParameterHistory",
      "ssm:GetParameters",
      "ssm:GetParametersByPath",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role" "team" {
  name                 = local.role_names.team
  description          = "The team: reads; with a second factor opens sessions on hosts and reads the state."
  assume_role_policy   = data.aws_iam_policy_document.team_trust.json
  max_session_duration = 14400
}

resource "aws_iam_role_policy" "team" {
  name   = "team"
  role   = aws_iam_role.team.name
  policy = data.aws_iam_policy_document.team.json
}

resource "aws_iam_role_policy_attachment" "team_reads" {
  role       = aws_iam_role.team.name
  policy_arn = local.policy_arns.infrastructure_read

  depends_on = [aws_iam_policy.infrastructure_read]
}
