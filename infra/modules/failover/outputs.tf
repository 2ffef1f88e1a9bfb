output "health_check_id" {
  description = "Id of the health check of the primary; null when failover is off."
  value       = one(aws_route53_health_check.primary[*].id)
}

output "fqdn" {
  description = "The name that is served; null when failover is off."
  value       = one(aws_route53_record.primary[*].fqdn)
}
