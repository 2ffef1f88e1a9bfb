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
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::quarterdeck-artifacts-123456789012-eu-central-1" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab" }
  }
}

variables {
  name = "quarterdeck"
}

run "the_bucket_keeps_things_to_itself" {
  command = plan

  assert {
    condition     = output.bucket_name == "quarterdeck-artifacts-123456789012-eu-central-1"
    error_message = "The name says account and region: bucket names are the whole world's."
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == output.kms_key_arn
    error_message = "Everything is encrypted with the key made here."
  }
  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "The key turns over by itself."
  }
  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && aws_s3_bucket.this.force_destroy == false
    error_message = "What is replaced can be had back, and what is full is not destroyed."
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Nothing in it can be made public."
  }
  assert {
    condition = (
      jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Effect == "Deny" &&
      jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    )
    error_message = "Whoever comes without TLS is refused."
  }
  assert {
    condition = (
      aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration[0].noncurrent_days == 30 &&
      aws_s3_bucket_lifecycle_configuration.this.rule[1].filter[0].prefix == "backups/" &&
      aws_s3_bucket_lifecycle_configuration.this.rule[1].expiration[0].days == 30
    )
    error_message = "Backups go after 30 days, and what was replaced 30 days after that."
  }
}

run "the_bounds_themselves_are_good" {
  command = plan
  variables {
    name                  = "abcdefghijklmnopqrstuvwx"
    backup_retention_days = 7
    noncurrent_days       = 365
  }
}

run "a_name_that_no_bucket_can_have" {
  command = plan
  variables {
    name = "Quarterdeck_"
  }
  expect_failures = [var.name]
}

run "a_name_too_long_for_account_and_region" {
  command = plan
  variables {
    name = "abcdefghijklmnopqrstuvwxy"
  }
  expect_failures = [var.name]
}

run "backups_for_no_time" {
  command = plan
  variables {
    backup_retention_days = 0
  }
  expect_failures = [var.backup_retention_days]
}

run "backups_for_longer_than_ten_years" {
  command = plan
  variables {
    backup_retention_days = 3651
  }
  expect_failures = [var.backup_retention_days]
}

run "what_was_replaced_goes_at_once" {
  command = plan
  variables {
    noncurrent_days = 0
  }
  expect_failures = [var.noncurrent_days]
}

run "what_was_replaced_stays_for_ever" {
  command = plan
  variables {
    noncurrent_days = 366
  }
  expect_failures = [var.noncurrent_days]
}
