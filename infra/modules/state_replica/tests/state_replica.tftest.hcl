mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::quarterdeck-state-123456789012-replica" }
  }
}

variables {
  bucket_name     = "quarterdeck-state-123456789012-replica"
  noncurrent_days = 1
}

run "the_copies_are_private_versioned_and_encrypted" {
  assert {
    condition     = alltrue([for one in [aws_s3_bucket_public_access_block.replica] : one.block_public_acls && one.block_public_policy && one.ignore_public_acls && one.restrict_public_buckets])
    error_message = "A state must never be public."
  }
  assert {
    condition     = aws_s3_bucket_versioning.replica.versioning_configuration[0].status == "Enabled"
    error_message = "S3 copies only into a versioned bucket."
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.replica.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms" && aws_kms_key.replica.enable_key_rotation
    error_message = "The copies must be encrypted with a rotated key."
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.replica.rule[0].noncurrent_version_expiration[0].noncurrent_days == 1
    error_message = "Old versions are kept for another time than asked."
  }
  assert {
    condition     = !aws_s3_bucket.replica.force_destroy
    error_message = "Destroying must not delete the copies unasked."
  }
  assert {
    condition     = data.aws_iam_policy_document.replica.statement[0].sid == "TlsOnly"
    error_message = "The bucket must refuse requests without TLS."
  }
}

run "bad_values_are_refused" {
  command = plan
  variables {
    bucket_name     = "Quarterdeck-State"
    noncurrent_days = 0
  }
  expect_failures = [var.bucket_name, var.noncurrent_days]
}
