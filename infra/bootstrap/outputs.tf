output "bucket_name" {
  description = "The state bucket."
  value       = aws_s3_bucket.state.bucket
}

output "bucket_arn" {
  description = "The state bucket's ARN, for the roles that plan and apply."
  value       = aws_s3_bucket.state.arn
}

output "kms_key_arn" {
  description = "The key that the states are encrypted with."
  value       = aws_kms_key.state.arn
}

output "lock_table_name" {
  description = "The DynamoDB table of locks; null: locks are objects in the bucket."
  value       = one(aws_dynamodb_table.locks[*].name)
}

output "backend_config" {
  description = "The content of infra/backend.hcl, which every other root is initialised with."
  value = join("", [
    "bucket     = \"${aws_s3_bucket.state.bucket}\"\n",
    "region     = \"${var.region}\"\n",
    "kms_key_id = \"${aws_kms_key.state.arn}\"\n",
    join("", [for name in aws_dynamodb_table.locks[*].name : "dynamodb_table = \"${name}\"\n"]),
  ])

  # Whoever reads this starts to keep states there: not before the bucket keeps them safely.
  depends_on = [
    aws_s3_bucket_versioning.state,
    aws_s3_bucket_server_side_encryption_configuration.state,
    aws_s3_bucket_public_access_block.state,
    aws_s3_bucket_policy.state,
  ]
}
