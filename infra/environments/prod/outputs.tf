output "autoscaling_group_name" {
  description = "Auto Scaling group of the fleet."
  value       = module.fleet.autoscaling_group_name
}

output "load_balancer_dns_name" {
  description = "Public name of the load balancer: what the domain must point at, and failover.secondary of the other region."
  value       = module.fleet.load_balancer_dns_name
}

output "load_balancer_zone_id" {
  description = "Hosted zone of the load balancer's name, for alias records and failover.secondary of the other region."
  value       = module.fleet.load_balancer_zone_id
}

output "url" {
  description = "Where the app answers."
  value       = "https://${coalesce(module.failover.fqdn, module.fleet.load_balancer_dns_name)}"
}

output "nat_public_ips" {
  description = "Addresses under which the instances are seen outside, for others' allow-lists."
  value       = module.network.nat_public_ips
}

output "health_check_id" {
  description = "Route 53 health check; null without failover."
  value       = module.failover.health_check_id
}

output "ami_id" {
  description = "Image that instances are started from."
  value       = data.aws_ssm_parameter.ami.insecure_value
}

output "repository_urls" {
  description = "Address of each image repository, by component."
  value       = local.shared.repository_urls
}

output "document_names" {
  description = "Names of the SSM documents that the bot runs."
  value       = keys(local.shared.document_arns)
}

output "parameter_names" {
  description = "Names of the secret parameters."
  value       = module.secrets.parameter_names
}

output "log_group_names" {
  description = "Names of the log groups."
  value       = module.observability.log_group_names
}

output "alarm_topic_arn" {
  description = "SNS topic that every alarm goes to."
  value       = module.observability.topic_arn
}

output "dashboard_name" {
  description = "Name of the CloudWatch dashboard."
  value       = module.observability.dashboard_name
}
