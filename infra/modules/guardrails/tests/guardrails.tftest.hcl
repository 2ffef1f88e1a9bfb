mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::quarterdeck-records" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/quarterdeck-config" }
  }
  mock_resource "aws_wafv2_web_acl" {
    defaults = { arn = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/quarterdeck/0" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:aws-waf-logs-quarterdeck" }
  }
}

variables {
  name = "quarterdeck-eu-central-1"
}

run "all_switches_off_creates_nothing" {
  assert {
    condition     = length(aws_s3_bucket.records) == 0 && length(aws_kms_key.records) == 0
    error_message = "A bucket for records was made although nothing records."
  }
  assert {
    condition     = length(aws_cloudtrail.account) + length(aws_guardduty_detector.region) + length(aws_config_configuration_recorder.region) + length(aws_budgets_budget.month) + length(aws_wafv2_web_acl.load_balancer) == 0
    error_message = "A guardrail stands although its switch is off."
  }
  assert {
    condition     = !anytrue(values(output.enabled))
    error_message = "The output names a guardrail that is off."
  }
}

run "what_watches_the_account_is_on" {
  variables {
    cloudtrail         = true
    guardduty          = true
    config             = true
    monthly_budget_usd = 150
    budget_emails      = ["ops@example.org"]
  }

  assert {
    condition     = aws_cloudtrail.account[0].enable_log_file_validation && aws_cloudtrail.account[0].is_multi_region_trail && aws_cloudtrail.account[0].include_global_service_events
    error_message = "The trail must cover all regions and IAM, and its files must be provable."
  }
  assert {
    condition     = aws_cloudtrail.account[0].kms_key_id == aws_kms_key.records[0].arn && aws_kms_key.records[0].enable_key_rotation
    error_message = "The trail must be encrypted with the records' own, rotated key."
  }
  assert {
    condition     = alltrue([for one in [aws_s3_bucket_public_access_block.records[0]] : one.block_public_acls && one.block_public_policy && one.ignore_public_acls && one.restrict_public_buckets])
    error_message = "The records must not be public."
  }
  assert {
    condition     = aws_s3_bucket_versioning.records[0].versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.records[0].force_destroy
    error_message = "The records must be versioned, and destroying must not delete them unasked."
  }
  assert {
    condition     = aws_config_configuration_recorder_status.region[0].is_enabled && aws_config_configuration_recorder.region[0].recording_group[0].all_supported
    error_message = "AWS Config must record every kind of resource, and be switched on."
  }
  assert {
    condition     = aws_guardduty_detector.region[0].enable
    error_message = "GuardDuty exists and is not on."
  }
  assert {
    condition     = length(aws_budgets_budget.month[0].notification) == 3 && aws_budgets_budget.month[0].limit_amount == "150"
    error_message = "The budget must warn at 80 % and 100 % spent and at 100 % forecast."
  }
  assert {
    condition     = alltrue([for name, on in output.enabled : on if name != "waf"])
    error_message = "The output does not name every guardrail that is on."
  }
}

# Planned only, and in as few runs as can be: the web ACL's schema is so deep that each takes seconds.
run "the_web_acl_stands_before_the_load_balancer" {
  command = plan

  variables {
    waf                   = true
    waf_load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/quarterdeck/0"
  }

  assert {
    condition     = length(aws_wafv2_web_acl.load_balancer[0].rule) == 4
    error_message = "The web ACL must have three managed rule groups and the rate limit."
  }
  assert {
    condition     = aws_wafv2_web_acl_association.load_balancer[0].resource_arn == var.waf_load_balancer_arn
    error_message = "The web ACL stands before another load balancer."
  }
  assert {
    condition     = output.enabled.waf
    error_message = "The output does not name the web ACL."
  }
}

run "the_trail_may_write_and_nobody_without_tls" {
  command = plan

  variables {
    cloudtrail         = true
    log_retention_days = 90
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.records[0].rule[0].expiration[0].days == 90
    error_message = "The records are kept for another time than asked."
  }

  assert {
    condition     = contains([for one in data.aws_iam_policy_document.records[0].statement : one.sid], "TlsOnly")
    error_message = "The bucket must refuse requests without TLS."
  }
  assert {
    condition     = contains([for one in data.aws_iam_policy_document.records[0].statement : one.sid], "TrailWrites")
    error_message = "The trail could not write to its bucket."
  }
}

run "config_alone_has_no_statement_for_the_trail" {
  command = plan

  variables {
    config = true
  }

  assert {
    condition     = !contains([for one in data.aws_iam_policy_document.records[0].statement : one.sid], "TrailWrites")
    error_message = "CloudTrail may write although there is no trail."
  }
}

run "bad_values_are_refused" {
  command = plan
  variables {
    name                       = "Quarterdeck"
    log_retention_days         = 7
    budget_emails              = ["ops"]
    waf                        = true
    waf_requests_per_5_minutes = 9
    waf_log_retention_days     = 0
  }
  expect_failures = [
    var.name,
    var.log_retention_days,
    var.budget_emails,
    var.waf_load_balancer_arn,
    var.waf_requests_per_5_minutes,
    var.waf_log_retention_days,
  ]
}

run "a_budget_that_nobody_hears_of_is_refused" {
  command = plan
  variables {
    monthly_budget_usd = 100
  }
  expect_failures = [var.budget_emails]
}

run "a_budget_of_nothing_is_refused" {
  command = plan
  variables {
    monthly_budget_usd = 0
    budget_emails      = ["ops@example.org"]
  }
  expect_failures = [var.monthly_budget_usd]
}
