output "parameter_names" {
  description = "The path of each secret in the parameter store, by its key."
  value       = local.paths
}

output "parameter_arns" {
  description = "The ARN of each secret, by its key."
  value       = { for key, one in aws_ssm_parameter.this : key => one.arn }
}
