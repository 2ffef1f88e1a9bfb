# Everything is planned and nothing applied: what may not be destroyed could not be tidied away after the test.
mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::quarterdeck-state-123456789012" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab" }
  }
}

variables {
  region = "eu-central-1"
}

run "the_bucket_keeps_states_safely" {
  command = plan

  assert {
    condition     = aws_s3_bucket.state.bucket == "quarterdeck-state-123456789012"
    error_message = "The usual name is made of the account's id."
  }
  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled"
    error_message = "Every earlier state is kept."
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    error_message = "States are encrypted with a key of our own."
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == aws_kms_key.state.arn
    error_message = "The key is the one made here."
  }
  assert {
    condition     = aws_kms_key.state.enable_key_rotation && aws_kms_key.state.deletion_window_in_days == 30
    error_message = "The key turns over by itself, and its deletion can be taken back for 30 days."
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.state.block_public_acls,
      aws_s3_bucket_public_access_block.state.block_public_policy,
      aws_s3_bucket_public_access_block.state.ignore_public_acls,
      aws_s3_bucket_public_access_block.state.restrict_public_buckets,
    ])
    error_message = "Nothing in it can be made public."
  }
  assert {
    condition = (
      jsondecode(aws_s3_bucket_policy.state.policy).Statement[0].Effect == "Deny" &&
      jsondecode(aws_s3_bucket_policy.state.policy).Statement[0].Action == "s3:*" &&
      jsondecode(aws_s3_bucket_policy.state.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false" &&
      length(jsondecode(aws_s3_bucket_policy.state.policy).Statement[0].Resource) == 2
    )
    error_message = "Whoever comes without TLS is refused, at the bucket and at its objects."
  }
  assert {
    condition = (
      aws_s3_bucket_lifecycle_configuration.state.rule[0].noncurrent_version_expiration[0].noncurrent_days == 30 &&
      aws_s3_bucket_lifecycle_configuration.state.rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 7
    )
    error_message = "Earlier versions go after 30 days, uploads that were broken off after 7."
  }
  assert {
    condition     = length(aws_dynamodb_table.locks) == 0 && output.lock_table_name == null
    error_message = "Locks are objects in the bucket unless a table is asked for."
  }
  assert {
    condition     = strcontains(output.backend_config, "bucket     = \"quarterdeck-state-123456789012\"") && !strcontains(output.backend_config, "dynamodb")
    error_message = "The backend's file names the bucket, and no table."
  }
}

run "a_lock_table_is_made_when_asked_for" {
  command = plan

  variables {
    lock_table  = true
    bucket_name = "harbour-state"
  }

  assert {
    condition     = one(aws_dynamodb_table.locks).name == "harbour-state-locks" && one(aws_dynamodb_table.locks).hash_key == "LockID"
    error_message = "Terraform wants the key LockID."
  }
  assert {
    condition     = strcontains(output.backend_config, "dynamodb_table = \"harbour-state-locks\"")
    error_message = "The backend's file names the table."
  }
}

run "a_region_is_a_region" {
  command = plan
  variables {
    region = "frankfurt"
  }
  expect_failures = [var.region]
}

run "regions_of_other_partitions_are_regions" {
  command = plan
  variables {
    region = "us-gov-west-1"
  }
}

run "a_bucket_name_is_one_that_S3_takes" {
  command = plan
  variables {
    bucket_name = "Harbour_State"
  }
  expect_failures = [var.bucket_name]
}

run "earlier_versions_are_kept_for_a_while" {
  command = plan
  variables {
    noncurrent_days = 0
  }
  expect_failures = [var.noncurrent_days]
}

run "and_not_for_ever" {
  command = plan
  variables {
    noncurrent_days = 366
  }
  expect_failures = [var.noncurrent_days]
}

run "the_bounds_themselves_are_good" {
  command = plan
  variables {
    noncurrent_days = 365
  }
}

run "a_key_is_adopted_by_its_id" {
  command = plan
  variables {
    adopt = { kms_key_id = "alias/quarterdeck" }
  }
  expect_failures = [var.adopt]
}
