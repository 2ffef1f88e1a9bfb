output "bucket_name" {
  description = "The bucket of artifacts."
  value       = aws_s3_bucket.this.bucket
}

output "bucket_arn" {
  description = "The bucket's ARN, for the policies of those who read and write its prefixes."
  value       = aws_s3_bucket.this.arn
}

output "kms_key_arn" {
  description = "The key that everything in the bucket is encrypted with."
  value       = aws_kms_key.this.arn
}
