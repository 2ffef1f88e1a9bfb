# GitHub's OIDC provider, the build role that workflows take through it, and the bot's role.

resource "aws_iam_openid_connect_provider" "github" {
  count = var.create_oidc_provider ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

# --- build: GitHub's workflow pushes images --------------------------------------------------------------------------

data "aws_iam_policy_document" "build_trust" {
  #checkov:skip=CKV_AWS_358:both subjects are compared whole by StringEquals and begin with repo; the form with ids is newer than this check

  statement {
    sid     = "ThisRepositorysBranch"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    # Whole subjects, compared letter by letter: no fork, tag, pull request, environment or other branch has one of these.
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = local.github_subjects
    }
  }
}

data "aws_iam_policy_document" "build" {
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # the action knows no resources
  }

  statement {
    sid = "Push"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage", # the pusher asks whether a manifest is there already
      "ecr:CompleteLayerUpload",
      "ecr:DescribeImages", # the workflow reads the digest of what it pushed
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = values(var.repository_arns)
  }
}

resource "aws_iam_role" "build" {
  name                 = local.role_names.build
  description          = "Pushes images from the workflow of ${var.github_repository} on ${var.github_branch}; nothing else."
  assume_role_policy   = data.aws_iam_policy_document.build_trust.json
  max_session_duration = 3600

  depends_on = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_role_policy" "build" {
  name   = "push"
  role   = aws_iam_role.build.name
  policy = data.aws_iam_policy_document.build.json
}

# --- bot: deploys through SSM, and takes the two roles of Terraform ---------------------------------------------------

# The hosts' roles do not exist yet, and AWS refuses principals that it does not know: the account is named, and the
# condition says who of it. The host's own role must allow it, too; only that of the bot's host does.
data "aws_iam_policy_document" "bot_trust" {
  statement {
    sid     = "HostsOfTheEnvironments"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = ["${local.iam}:root"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:PrincipalArn"
      values   = local.instance_role_arns
    }
  }
}

data "aws_iam_policy_document" "bot" {
  statement {
    sid       = "SendOwnDocuments"
    actions   = ["ssm:SendCommand"]
    resources = local.bot_document_arns
  }

  statement {
    sid       = "SendToOwnHosts"
    actions   = ["ssm:SendCommand"]
    resources = local.bot_host_arns

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/Project"
      values   = [var.project]
    }

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/Environment"
      values   = local.environments
    }
  }

  statement {
    sid       = "ReadOwnDocuments"
    actions   = ["ssm:DescribeDocument"]
    resources = local.bot_document_arns
  }

  statement {
    sid = "FollowCommands"
    actions = [
      "ssm:CancelCommand",
      "ssm:DescribeInstanceInformation",
      "ssm:GetCommandInvocation",
      "ssm:ListCommands",
    ]
    resources = ["*"] # none of these knows resources
  }

  statement {
    sid       = "FindImages"
    actions   = ["ecr:DescribeImages"]
    resources = values(var.repository_arns)
  }

  statement {
    sid       = "CallPeople"
    actions   = ["sns:Publish"]
    resources = ["arn:aws:sns:*:${local.account}:${var.project}-*"]
  }

  statement {
    sid       = "TakeTerraformsRoles"
    actions   = ["sts:AssumeRole"]
    resources = [local.role_arns.plan, local.role_arns.apply]
  }
}

resource "aws_iam_role" "bot" {
  name                 = local.role_names.bot
  description          = "The bot: its own SSM documents on hosts of its environments, and the roles of plan and apply."
  assume_role_policy   = data.aws_iam_policy_document.bot_trust.json
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "bot" {
  name   = "operate"
  role   = aws_iam_role.bot.name
  policy = data.aws_iam_policy_document.bot.json
}
