output "repository_urls" {
  description = "The address of each repository, by its name: what an image is pushed to and pulled from."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}

output "repository_arns" {
  description = "The ARN of each repository, by its name, for the policies of those who push and pull."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.arn }
}
