mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  github_repository    = "night-watch/lighthouse"
  github_owner_id      = "424242"
  github_repository_id = "777000777"
  environments         = ["dev", "prod"]
  team_trusted_arns    = ["arn:aws:iam::123456789012:user/ada"]

  repository_arns = {
    app = "arn:aws:ecr:eu-central-1:123456789012:repository/app"
    bot = "arn:aws:ecr:eu-central-1:123456789012:repository/bot"
  }
  document_arns = {
    quarterdeck-deploy             = "arn:aws:ssm:eu-central-1:123456789012:document/quarterdeck-deploy"
    quarterdeck-disk-clean         = "arn:aws:ssm:eu-central-1:123456789012:document/quarterdeck-disk-clean"
    quarterdeck-status             = "arn:aws:ssm:eu-central-1:123456789012:document/quarterdeck-status"
    "quarterdeck-deploy@eu-west-1" = "arn:aws:ssm:eu-west-1:123456789012:document/quarterdeck-deploy"
    "quarterdeck-status@eu-west-1" = "arn:aws:ssm:eu-west-1:123456789012:document/quarterdeck-status"
  }

  artifacts_bucket_arn  = "arn:aws:s3:::quarterdeck-eu-central-1-artifacts-123456789012"
  artifacts_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/66666666-7777-4888-8999-000000000000"
  state_bucket_arn      = "arn:aws:s3:::quarterdeck-state-123456789012"
  state_kms_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-4333-8444-555555555555"
}

run "roles_trust_and_boundaries" {
  command = plan

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 1 && one(aws_iam_openid_connect_provider.github[0].client_id_list) == "sts.amazonaws.com"
    error_message = "GitHub's provider must be made, for the audience sts.amazonaws.com and no other."
  }
  assert {
    condition = [for one in data.aws_iam_policy_document.build_trust.statement[0].condition : one if one.test != "StringEquals"] == [] && toset(flatten([
      for one in data.aws_iam_policy_document.build_trust.statement[0].condition : one.values if endswith(one.variable, ":sub")
      ])) == toset([
      "repo:night-watch/lighthouse:ref:refs/heads/main",
      "repo:night-watch@424242/lighthouse@777000777:ref:refs/heads/main",
    ])
    error_message = "The build role must trust both forms of the subject of main, letter by letter, and nothing else."
  }
  assert {
    condition     = data.aws_iam_policy_document.build_trust.statement[0].principals == toset([{ type = "Federated", identifiers = toset(["arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"]) }])
    error_message = "The build role must be taken through GitHub's provider only."
  }
  assert {
    condition     = aws_iam_role.apply.permissions_boundary == "arn:aws:iam::123456789012:policy/quarterdeck-apply-boundary"
    error_message = "The apply role must stand inside its boundary."
  }
  assert {
    condition     = [for role in [aws_iam_role.build, aws_iam_role.bot, aws_iam_role.plan, aws_iam_role.apply, aws_iam_role.team] : role.name] == ["quarterdeck-build", "quarterdeck-bot", "quarterdeck-plan", "quarterdeck-apply", "quarterdeck-team"]
    error_message = "The roles must be named after what they are for."
  }
  assert {
    condition = toset(local.bot_document_arns) == toset([
      "arn:aws:ssm:eu-central-1:123456789012:document/quarterdeck-deploy",
      "arn:aws:ssm:eu-central-1:123456789012:document/quarterdeck-status",
      "arn:aws:ssm:eu-west-1:123456789012:document/quarterdeck-deploy",
      "arn:aws:ssm:eu-west-1:123456789012:document/quarterdeck-status",
    ])
    error_message = "The bot must send the documents that it uses, in each region, and no other."
  }
  assert {
    condition     = local.bot_host_arns == ["arn:aws:ec2:eu-central-1:123456789012:instance/*", "arn:aws:ec2:eu-west-1:123456789012:instance/*"]
    error_message = "The bot must send to hosts of its regions only."
  }
  assert {
    condition     = !contains([for one in data.aws_iam_policy_document.apply_services.statement : one.sid], "NamesInOwnZones")
    error_message = "Without hosted_zone_ids apply must not change names."
  }
}

run "what_may_be_chosen" {
  command = plan

  variables {
    name                 = "harbour"
    project              = "harbour"
    github_branch        = "release/2026"
    create_oidc_provider = false
    oidc_provider_arn    = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    bot_documents        = ["quarterdeck-disk-clean"]
    hosted_zone_ids      = ["Z0123456789ABCDEFGHIJ"]
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && output.oidc_provider_arn == var.oidc_provider_arn
    error_message = "An existing provider must be used and none made."
  }
  assert {
    condition     = aws_iam_role.bot.name == "harbour-bot" && aws_iam_policy.workload_boundary.name == "harbour-workload-boundary"
    error_message = "Names must follow name and project."
  }
  assert {
    condition     = local.github_subjects[0] == "repo:night-watch/lighthouse:ref:refs/heads/release/2026"
    error_message = "The branch that was chosen must be the trusted one."
  }
  assert {
    condition     = local.bot_document_arns == ["arn:aws:ssm:eu-central-1:123456789012:document/quarterdeck-disk-clean"]
    error_message = "The documents that were chosen must be the bot's."
  }
  assert {
    condition     = one([for one in data.aws_iam_policy_document.apply_services.statement : one.resources if one.sid == "NamesInOwnZones"]) == toset(["arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ"])
    error_message = "Apply must change names in the given zone only."
  }
}

run "bad_name" {
  command = plan

  variables {
    name = "Quarterdeck"
  }

  expect_failures = [var.name]
}

run "bad_project" {
  command = plan

  variables {
    project = "a project"
  }

  expect_failures = [var.project]
}

run "bad_github_repository" {
  command = plan

  variables {
    github_repository = "https://github.com/night-watch/lighthouse"
  }

  expect_failures = [var.github_repository]
}

run "bad_github_owner_id" {
  command = plan

  variables {
    github_owner_id = "night-watch"
  }

  expect_failures = [var.github_owner_id]
}

run "bad_github_repository_id" {
  command = plan

  variables {
    github_repository_id = "0"
  }

  expect_failures = [var.github_repository_id]
}

run "bad_github_branch" {
  command = plan

  variables {
    github_branch = "refs/heads/main"
  }

  expect_failures = [var.github_branch]
}

run "provider_of_another_issuer" {
  command = plan

  variables {
    create_oidc_provider = false
    oidc_provider_arn    = "arn:aws:iam::123456789012:oidc-provider/gitlab.com"
  }

  expect_failures = [var.oidc_provider_arn]
}

run "provider_made_and_given" {
  command = plan

  variables {
    oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  }

  expect_failures = [var.oidc_provider_arn]
}

run "no_repository" {
  command = plan

  variables {
    repository_arns = {}
  }

  expect_failures = [var.repository_arns]
}

run "repository_with_a_wildcard" {
  command = plan

  variables {
    repository_arns = { all = "arn:aws:ecr:eu-central-1:123456789012:repository/*" }
  }

  expect_failures = [var.repository_arns]
}

run "bad_document_arns" {
  command = plan

  variables {
    document_arns = {
      quarterdeck-deploy = "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript"
      quarterdeck-status = "arn:aws:ssm:eu-central-1:123456789012:document/quarterdeck-status"
    }
  }

  expect_failures = [var.document_arns]
}

run "bad_bot_documents" {
  command = plan

  variables {
    bot_documents = ["AWS-RunShellScript"]
  }

  expect_failures = [var.bot_documents]
}

run "no_environment" {
  command = plan

  variables {
    environments = []
  }

  expect_failures = [var.environments]
}

run "environment_control" {
  command = plan

  variables {
    environments = ["dev", "control"]
  }

  expect_failures = [var.environments]
}

run "bad_artifacts_bucket_arn" {
  command = plan

  variables {
    artifacts_bucket_arn = "arn:aws:s3:::*"
  }

  expect_failures = [var.artifacts_bucket_arn]
}

run "bad_artifacts_kms_key_arn" {
  command = plan

  variables {
    artifacts_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/artifacts"
  }

  expect_failures = [var.artifacts_kms_key_arn]
}

run "bad_state_bucket_arn" {
  command = plan

  variables {
    state_bucket_arn = "quarterdeck-state"
  }

  expect_failures = [var.state_bucket_arn]
}

run "bad_state_kms_key_arn" {
  command = plan

  variables {
    state_kms_key_arn = "alias/quarterdeck-state"
  }

  expect_failures = [var.state_kms_key_arn]
}

run "empty_team" {
  command = plan

  variables {
    team_trusted_arns = []
  }

  expect_failures = [var.team_trusted_arns]
}

run "team_of_everybody" {
  command = plan

  variables {
    team_trusted_arns = ["arn:aws:iam::123456789012:root"]
  }

  expect_failures = [var.team_trusted_arns]
}

run "bad_hosted_zone_ids" {
  command = plan

  variables {
    hosted_zone_ids = ["example.org"]
  }

  expect_failures = [var.hosted_zone_ids]
}
