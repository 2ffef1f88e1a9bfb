output "role_name" {
  description = "The role's name."
  value       = aws_iam_role.this.name
}

output "role_arn" {
  description = "The role's ARN."
  value       = aws_iam_role.this.arn
}

output "instance_profile_name" {
  description = "What an instance or launch template is given; known as soon as the role is whole."
  value       = aws_iam_instance_profile.this.name
  depends_on  = [aws_iam_role_policy.this]
}
