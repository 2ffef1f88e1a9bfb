output "names" {
  description = "The documents' names."
  value       = toset(keys(aws_ssm_document.this))
}

output "arns" {
  description = "The ARN of each document, by its name, for the policies of those who may run it."
  value       = { for name, document in aws_ssm_document.this : name => document.arn }
}

output "versions" {
  description = "The version of each document that this configuration stands for, by its name; it is also the default version."
  value       = { for name, document in aws_ssm_document.this : name => document.latest_version }
}
