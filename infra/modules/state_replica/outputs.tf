output "bucket_name" {
  description = "Name of the bucket with the copies."
  value       = aws_s3_bucket.replica.bucket
}

# Only after versioning is on does S3 accept the bucket as a destination.
output "bucket_arn" {
  description = "ARN of the bucket with the copies."
  value       = aws_s3_bucket.replica.arn
  depends_on  = [aws_s3_bucket_versioning.replica]
}

output "kms_key_arn" {
  description = "ARN of the key that the copies are encrypted with."
  value       = aws_kms_key.replica.arn
}
