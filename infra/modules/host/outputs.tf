locals {
  given_address  = aws_instance.this.public_ip == "" ? null : aws_instance.this.public_ip
  public_address = var.elastic_ip ? aws_eip.this[0].public_ip : local.given_address
}

output "instance_id" {
  description = "The instance's id, which the bot's configuration names."
  value       = aws_instance.this.id
}

output "public_address" {
  description = "The public IPv4 address; null without one. It outlives the instance if elastic_ip is true."
  value       = local.public_address
}

output "private_ip" {
  description = "The address inside the network."
  value       = aws_instance.this.private_ip
}

output "security_group_id" {
  description = "The host's security group, for rules of others."
  value       = aws_security_group.this.id
}

output "url" {
  description = "Where the service answers: by the public address, or the private one where there is none."
  value       = "http://${coalesce(local.public_address, aws_instance.this.private_ip)}"
}
