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
  name                  = "quarterdeck-dev"
  environment           = "dev"
  parameter_prefix      = "/quarterdeck/dev"
  repository_arns       = { app = "arn:aws:ecr:eu-central-1:123456789012:repository/app" }
  log_group_arns        = { app = "arn:aws:logs:eu-central-1:123456789012:log-group:/quarterdeck/dev/app" }
  artifacts_bucket_arn  = "arn:aws:s3:::quarterdeck-artifacts"
  artifacts_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/66666666-7777-4888-8999-000000000000"
}

run "a_host_without_the_bot" {
  command = plan

  assert {
    condition     = aws_iam_role.this.name == "quarterdeck-dev-instance" && aws_iam_instance_profile.this.role == aws_iam_role.this.name
    error_message = "The role must bear the name by which the bot's role knows hosts, and be in the profile."
  }
  assert {
    condition     = data.aws_iam_policy_document.trust.statement[0].principals == toset([{ type = "Service", identifiers = toset(["ec2.amazonaws.com"]) }])
    error_message = "Only EC2 may hand out the role."
  }
  assert {
    condition     = alltrue([for one in data.aws_iam_policy_document.instance.statement : !contains(one.actions, "sts:AssumeRole")])
    error_message = "A host without the bot must take no other role."
  }
  assert {
    condition = one([for one in data.aws_iam_policy_document.instance.statement : one.resources if one.sid == "ReadOwnParameters"]) == toset([
      "arn:aws:ssm:eu-central-1:123456789012:parameter/quarterdeck/dev",
      "arn:aws:ssm:eu-central-1:123456789012:parameter/quarterdeck/dev/*",
    ])
    error_message = "A host must read the parameters of its own environment and no other's."
  }
  assert {
    condition     = alltrue([for one in data.aws_iam_policy_document.instance.statement : length([for action in one.actions : action if startswith(action, "ec2:")]) == 0])
    error_message = "A host that does not watch must not look for others."
  }
  assert {
    condition     = aws_iam_role.this.permissions_boundary == null
    error_message = "Without a boundary given there must be none."
  }
}

run "the_host_that_the_bot_runs_on" {
  command = plan

  variables {
    bot_role_arn             = "arn:aws:iam::123456789012:role/quarterdeck-bot"
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/quarterdeck-workload-boundary"
    metric_namespaces        = ["Harbour"]
  }

  assert {
    condition     = one([for one in data.aws_iam_policy_document.instance.statement : one.resources if contains(one.actions, "sts:AssumeRole")]) == toset([var.bot_role_arn])
    error_message = "The bot's host must take the bot's role and no other."
  }
  assert {
    condition     = aws_iam_role.this.permissions_boundary == var.permissions_boundary_arn
    error_message = "The role must carry the boundary that is given."
  }
  assert {
    condition     = one(flatten([for one in data.aws_iam_policy_document.instance.statement : [for check in one.condition : check.values] if one.sid == "PutMetrics"])) == "Harbour"
    error_message = "Metrics must go to the given namespaces only."
  }
}

run "a_host_that_watches_the_others" {
  command = plan

  variables {
    watches = true
  }

  assert {
    condition     = flatten([for one in data.aws_iam_policy_document.instance.statement : [for action in one.actions : action if startswith(action, "ec2:")]]) == ["ec2:DescribeInstances"]
    error_message = "Prometheus needs to list instances and nothing else of EC2."
  }
  assert {
    condition     = one([for one in data.aws_iam_policy_document.instance.statement : one.condition if one.sid == "FindHostsToWatch"]) == toset([{ test = "StringEquals", variable = "aws:RequestedRegion", values = tolist(["eu-central-1"]) }])
    error_message = "It must look in its own region only."
  }
}

run "a_host_watches_or_it_does_not" {
  command = plan

  variables {
    watches = null
  }

  assert {
    condition     = alltrue([for one in data.aws_iam_policy_document.instance.statement : one.sid != "FindHostsToWatch"])
    error_message = "Nothing said is no."
  }
}

run "bad_name" {
  command = plan

  variables {
    name = "dev_host"
  }

  expect_failures = [var.name]
}

run "bad_environment" {
  command = plan

  variables {
    parameter_prefix = "/quarterdeck/control"
    environment      = "control"
  }

  expect_failures = [var.environment]
}

run "prefix_of_everything" {
  command = plan

  variables {
    parameter_prefix = "/quarterdeck"
  }

  expect_failures = [var.parameter_prefix]
}

run "prefix_of_another_environment" {
  command = plan

  variables {
    parameter_prefix = "/quarterdeck/prod"
  }

  expect_failures = [var.parameter_prefix]
}

run "repository_with_a_wildcard" {
  command = plan

  variables {
    repository_arns = { all = "arn:aws:ecr:eu-central-1:123456789012:repository/*" }
  }

  expect_failures = [var.repository_arns]
}

run "log_group_with_a_wildcard" {
  command = plan

  variables {
    log_group_arns = { all = "arn:aws:logs:eu-central-1:123456789012:log-group:*" }
  }

  expect_failures = [var.log_group_arns]
}

run "bucket_with_a_path" {
  command = plan

  variables {
    artifacts_bucket_arn = "arn:aws:s3:::quarterdeck-artifacts/data"
  }

  expect_failures = [var.artifacts_bucket_arn]
}

run "alias_of_a_key" {
  command = plan

  variables {
    artifacts_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/artifacts"
  }

  expect_failures = [var.artifacts_kms_key_arn]
}

run "namespace_of_aws" {
  command = plan

  variables {
    metric_namespaces = ["AWS/EC2"]
  }

  expect_failures = [var.metric_namespaces]
}

run "any_role" {
  command = plan

  variables {
    bot_role_arn = "arn:aws:iam::123456789012:role/*"
  }

  expect_failures = [var.bot_role_arn]
}

run "boundary_that_is_no_policy" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:role/x"
  }

  expect_failures = [var.permissions_boundary_arn]
}
