output "instance_id" {
  description = "Id of the instance: instance_id of the environment dev in the bot's configuration."
  value       = module.host.instance_id
}

output "public_address" {
  description = "Public IPv4 address of the instance."
  value       = module.host.public_address
}

output "url" {
  description = "Where the app answers."
  value       = module.host.url
}

output "private_ip" {
  description = "Address of the instance inside its network."
  value       = module.host.private_ip
}

output "ami_id" {
  description = "Image that the instance was started from."
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

output "port_forwarding" {
  description = "Command that brings Grafana of the host to http://127.0.0.1:3000, through Session Manager."
  value       = "aws ssm start-session --region ${var.region} --target ${module.host.instance_id} --document-name AWS-StartPortForwardingSession --parameters portNumber=3000,localPortNumber=3000"
}
