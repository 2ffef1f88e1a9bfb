output "repository_urls" {
  description = "Address of each image repository, by component."
  value       = module.registry.repository_urls
}

output "document_names" {
  description = "Names of the SSM documents that the bot runs."
  value       = module.documents.names
}

output "document_versions" {
  description = "Default version of each SSM document."
  value       = module.documents.versions
}

output "artifacts_bucket_name" {
  description = "Bucket with monitoring bundles, backups and application data."
  value       = module.artifacts.bucket_name
}

output "build_role_arn" {
  description = "Role of the build workflow: the repository variable AWS_BUILD_ROLE_ARN. Null in a second region."
  value       = one(module.identity[*].build_role_arn)
}

output "bot_role_arn" {
  description = "Role that the bot takes. Null in a second region."
  value       = one(module.identity[*].bot_role_arn)
}

output "plan_role_arn" {
  description = "Role that the bot takes to plan with Terraform; reads only. Null in a second region."
  value       = one(module.identity[*].plan_role_arn)
}

output "apply_role_arn" {
  description = "Role that the bot takes to apply an approved plan. Null in a second region."
  value       = one(module.identity[*].apply_role_arn)
}

output "team_role_arn" {
  description = "Role of the people of the team. Null in a second region."
  value       = one(module.identity[*].team_role_arn)
}

output "guardrails" {
  description = "Which guardrails stand."
  value       = module.guardrails.enabled
}

output "state_replica_bucket_name" {
  description = "Bucket in the second region with the copies of the state; null when there is none."
  value       = one(module.state_replica[*].bucket_name)
}
