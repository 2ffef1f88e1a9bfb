mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
  mock_resource "aws_cloudwatch_metric_alarm" {
    defaults = { arn = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:quarterdeck-dev-x" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:quarterdeck-dev-alarms" }
  }
}

variables {
  name         = "quarterdeck-dev"
  environment  = "dev"
  emails       = ["ops@example.org"]
  instance_ids = { host = "i-0123456789abcdef0" }
}

run "one_instance_is_watched" {
  command = plan

  assert {
    condition     = [for one in aws_cloudwatch_log_group.this : "${one.name} ${one.retention_in_days}"] == ["/quarterdeck/dev/app 30", "/quarterdeck/dev/bot 30"]
    error_message = "Each of app and bot has its log group, and lines go after 30 days."
  }
  assert {
    condition     = output.alarm_names == toset(["quarterdeck-dev-host-status", "quarterdeck-dev-host-cpu", "quarterdeck-dev-host-memory", "quarterdeck-dev-host-disk"])
    error_message = "The instance's alarms are there and no others."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.status["host"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.status["host"].dimensions == tomap({ InstanceId = "i-0123456789abcdef0" })
    error_message = "An instance of which nothing is heard is an alarm."
  }
  assert {
    condition     = alltrue([for one in [aws_cloudwatch_metric_alarm.memory["host"], aws_cloudwatch_metric_alarm.disk["host"]] : one.namespace == "Quarterdeck/Host" && one.treat_missing_data == "notBreaching"])
    error_message = "Memory and disk are what the host tells of itself."
  }
  assert {
    condition = alltrue([for one in [
      aws_cloudwatch_metric_alarm.status["host"], aws_cloudwatch_metric_alarm.cpu["host"],
      aws_cloudwatch_metric_alarm.memory["host"], aws_cloudwatch_metric_alarm.disk["host"],
    ] : one.alarm_actions == toset([output.topic_arn]) && one.ok_actions == toset([output.topic_arn])])
    error_message = "Each alarm is told when it begins and when it is over."
  }
  assert {
    condition     = one(values(aws_sns_topic_subscription.email)).protocol == "email" && length(aws_sns_topic_subscription.pagerduty) == 0
    error_message = "The address is subscribed, and PagerDuty only when asked for."
  }
  assert {
    condition = (
      [for one in jsondecode(aws_sns_topic_policy.alarms.policy).Statement : one.Effect] == ["Allow", "Deny"] &&
      jsondecode(aws_sns_topic_policy.alarms.policy).Statement[0].Principal.Service == "cloudwatch.amazonaws.com" &&
      jsondecode(aws_sns_topic_policy.alarms.policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    )
    error_message = "Only this account's alarms may speak on the topic."
  }
  assert {
    condition     = output.dashboard_name == "quarterdeck-dev" && length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 7
    error_message = "The dashboard shows the alarms, four pictures and two logs."
  }
}

run "a_fleet_and_the_bot_are_watched" {
  command = plan

  variables {
    instance_ids             = {}
    watch_bot                = true
    watch_fleet              = true
    autoscaling_group_name   = "quarterdeck-prod"
    watch_load_balancer      = true
    load_balancer_arn_suffix = "app/quarterdeck-prod/0123456789abcdef"
    target_group_arn_suffix  = "targetgroup/quarterdeck-prod/0123456789abcdef"
    pagerduty_url            = "https://events.pagerduty.com/integration/0123/enqueue"
    kms_key_arn              = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    log_retention_days       = 365
    cpu_percent              = 100
    memory_percent           = 10
    disk_percent             = 99
  }

  assert {
    condition     = length(output.alarm_names) == 7
    error_message = "The fleet has two alarms, the load balancer four, the bot one."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.bot["bot"].treat_missing_data == "breaching" &&
      aws_cloudwatch_metric_alarm.bot["bot"].namespace == "Quarterdeck" &&
      aws_cloudwatch_metric_alarm.bot["bot"].metric_name == "BotHeartbeat" &&
      aws_cloudwatch_metric_alarm.bot["bot"].dimensions == tomap({ Environment = "dev" })
    )
    error_message = "A bot that is not heard is down."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.no_healthy_host["load-balancer"].treat_missing_data == "breaching"
    error_message = "No host at all is an alarm, too."
  }
  assert {
    condition     = aws_sns_topic_subscription.pagerduty[0].protocol == "https" && aws_sns_topic_subscription.pagerduty[0].endpoint_auto_confirms
    error_message = "PagerDuty is told by https and confirms by itself."
  }
  assert {
    condition     = alltrue([for one in aws_cloudwatch_log_group.this : one.kms_key_id == var.kms_key_arn]) && aws_sns_topic.alarms.kms_master_key_id == var.kms_key_arn
    error_message = "The key is used for the logs and the topic."
  }
}

run "a_name_has_a_form" {
  command = plan
  variables {
    name = "Quarterdeck dev"
  }
  expect_failures = [var.name]
}

run "an_environment_has_a_form" {
  command = plan
  variables {
    environment = "Dev"
  }
  expect_failures = [var.environment]
}

run "logs_are_not_kept_for_ever" {
  command = plan
  variables {
    log_retention_days = 0
  }
  expect_failures = [var.log_retention_days]
}

run "an_address_is_an_address" {
  command = plan
  variables {
    emails = ["ops"]
  }
  expect_failures = [var.emails]
}

run "only_pagerduty_is_paged" {
  command = plan
  variables {
    pagerduty_url = "http://events.pagerduty.com/x"
  }
  expect_failures = [var.pagerduty_url]
}

run "an_instance_has_an_id" {
  command = plan
  variables {
    instance_ids = { host = "the-host" }
  }
  expect_failures = [var.instance_ids]
}

run "a_fleet_without_its_name" {
  command = plan
  variables {
    watch_fleet = true
  }
  expect_failures = [var.autoscaling_group_name]
}

run "a_load_balancer_without_its_name" {
  command = plan
  variables {
    watch_load_balancer     = true
    target_group_arn_suffix = "targetgroup/x/0"
  }
  expect_failures = [var.load_balancer_arn_suffix]
}

run "a_target_group_that_nobody_watches" {
  command = plan
  variables {
    target_group_arn_suffix = "targetgroup/x/0"
  }
  expect_failures = [var.target_group_arn_suffix]
}

run "a_cpu_is_never_busier_than_wholly" {
  command = plan
  variables {
    cpu_percent = 101
  }
  expect_failures = [var.cpu_percent]
}

run "memory_is_always_used_a_little" {
  command = plan
  variables {
    memory_percent = 9
  }
  expect_failures = [var.memory_percent]
}

run "a_full_disk_is_told_too_late" {
  command = plan
  variables {
    disk_percent = 100
  }
  expect_failures = [var.disk_percent]
}

run "a_key_is_named_by_its_arn" {
  command = plan
  variables {
    kms_key_arn = "alias/quarterdeck"
  }
  expect_failures = [var.kms_key_arn]
}
