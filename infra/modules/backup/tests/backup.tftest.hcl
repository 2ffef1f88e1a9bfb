mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/quarterdeck-prod-snapshots" }
  }
}

variables {
  name        = "quarterdeck-prod-eu-central-1"
  environment = "prod"
}

run "all_switches_off_creates_nothing" {
  assert {
    condition     = length(aws_dlm_lifecycle_policy.daily) + length(aws_s3_bucket_replication_configuration.state) + length(aws_ecr_replication_configuration.images) + length(aws_iam_role.snapshots) == 0
    error_message = "Something was made although every switch is off."
  }
}

run "daily_copies_kept_for_a_week" {
  variables {
    snapshots                = true
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/quarterdeck-workload-boundary"
  }

  assert {
    condition     = aws_dlm_lifecycle_policy.daily[0].policy_details[0].schedule[0].create_rule[0].cron_expression == "cron(15 3 * * ? *)"
    error_message = "The copies are not made at 03:15 UTC every day."
  }
  assert {
    condition     = aws_dlm_lifecycle_policy.daily[0].policy_details[0].schedule[0].retain_rule[0].interval == 7 && aws_dlm_lifecycle_policy.daily[0].policy_details[0].schedule[0].retain_rule[0].interval_unit == "DAYS"
    error_message = "A copy must be kept for seven days."
  }
  assert {
    condition     = aws_dlm_lifecycle_policy.daily[0].policy_details[0].target_tags == tomap({ Name = "quarterdeck-prod" })
    error_message = "The copies must be of this environment's instances alone."
  }
  assert {
    condition     = aws_dlm_lifecycle_policy.daily[0].policy_details[0].policy_type == "EBS_SNAPSHOT_MANAGEMENT" && aws_dlm_lifecycle_policy.daily[0].state == "ENABLED"
    error_message = "The policy must make snapshots, and be on."
  }
  assert {
    condition     = length(aws_dlm_lifecycle_policy.daily[0].policy_details[0].parameters) == 0
    error_message = "Snapshots know nothing of reboots: AWS refuses an empty block."
  }
  assert {
    condition     = aws_iam_role.snapshots[0].permissions_boundary == var.permissions_boundary_arn
    error_message = "The role must carry the boundary."
  }
}

run "images_are_made_without_a_reboot" {
  variables {
    snapshots = true
    kind      = "image"
  }

  assert {
    condition     = aws_dlm_lifecycle_policy.daily[0].policy_details[0].policy_type == "IMAGE_MANAGEMENT" && aws_dlm_lifecycle_policy.daily[0].policy_details[0].parameters[0].no_reboot
    error_message = "An image must not cost a reboot."
  }
  assert {
    condition     = endswith(aws_iam_role_policy_attachment.snapshots[0].policy_arn, "AWSDataLifecycleManagerServiceRoleForAMIManagement")
    error_message = "The role cannot make images."
  }
}

run "state_and_images_are_copied_encrypted_and_deletions_are_not" {
  variables {
    image_replication_regions = ["eu-west-1"]
    state_replication = {
      bucket_name         = "quarterdeck-state-123456789012"
      kms_key_arn         = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
      replica_bucket_arn  = "arn:aws:s3:::quarterdeck-state-123456789012-replica"
      replica_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000001"
    }
  }

  assert {
    condition     = aws_s3_bucket_replication_configuration.state[0].bucket == "quarterdeck-state-123456789012" && aws_s3_bucket_replication_configuration.state[0].rule[0].status == "Enabled"
    error_message = "The state bucket is not copied."
  }
  assert {
    condition     = aws_s3_bucket_replication_configuration.state[0].rule[0].source_selection_criteria[0].sse_kms_encrypted_objects[0].status == "Enabled"
    error_message = "Without this S3 skips encrypted objects, which is every state."
  }
  assert {
    condition     = aws_s3_bucket_replication_configuration.state[0].rule[0].destination[0].encryption_configuration[0].replica_kms_key_id == var.state_replication.replica_kms_key_arn
    error_message = "The copies must be encrypted with the second region's key."
  }
  assert {
    condition     = aws_s3_bucket_replication_configuration.state[0].rule[0].delete_marker_replication[0].status == "Disabled"
    error_message = "A deletion must not reach the copies."
  }
  assert {
    condition     = one(aws_ecr_replication_configuration.images[0].replication_configuration[0].rule[0].destination).region == "eu-west-1"
    error_message = "The images are not copied to the region that was named."
  }
  assert {
    condition     = output.state_replicated
    error_message = "The output does not say that the state is copied."
  }
}

run "bad_values_are_refused" {
  command = plan
  variables {
    name                      = "quarterdeck_prod"
    environment               = "Prod"
    kind                      = "tape"
    schedule_cron             = "15 3 * * *"
    keep_days                 = 0
    image_replication_regions = ["Frankfurt"]
    permissions_boundary_arn  = "arn:aws:iam::123456789012:role/quarterdeck"
    state_replication = {
      bucket_name         = "quarterdeck-state-123456789012"
      kms_key_arn         = "alias/quarterdeck-state"
      replica_bucket_arn  = "arn:aws:s3:::quarterdeck-state-123456789012-replica"
      replica_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000001"
    }
  }
  expect_failures = [
    var.name,
    var.environment,
    var.kind,
    var.schedule_cron,
    var.keep_days,
    var.image_replication_regions,
    var.permissions_boundary_arn,
    var.state_replication,
  ]
}

run "a_bucket_that_s3_cannot_have_and_copies_for_over_a_year_are_refused" {
  command = plan
  variables {
    keep_days = 366
    state_replication = {
      bucket_name         = "Quarterdeck_State"
      kms_key_arn         = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
      replica_bucket_arn  = "arn:aws:s3:::quarterdeck-state-123456789012-replica"
      replica_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000001"
    }
  }
  expect_failures = [var.keep_days, var.state_replication]
}
