output "lifecycle_policy_id" {
  description = "Id of the Data Lifecycle Manager policy that makes the copies; null when snapshots is off."
  value       = one(aws_dlm_lifecycle_policy.daily[*].id)
}

output "state_replicated" {
  description = "Whether Terraform's state is copied to a second region."
  value       = local.replicated
}

output "image_replication_regions" {
  description = "Regions that ECR copies images to."
  value       = var.image_replication_regions
}
