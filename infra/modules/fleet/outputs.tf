output "load_balancer_arn" {
  description = "The load balancer, for a web application firewall."
  value       = aws_lb.this.arn
}

output "load_balancer_arn_suffix" {
  description = "The load balancer as CloudWatch's figures name it."
  value       = aws_lb.this.arn_suffix
}

output "load_balancer_dns_name" {
  description = "The load balancer's name, to which the service's own name points."
  value       = aws_lb.this.dns_name
}

output "load_balancer_zone_id" {
  description = "The zone of the load balancer's name, which an alias record needs."
  value       = aws_lb.this.zone_id
}

output "target_group_arn_suffix" {
  description = "The target group as CloudWatch's figures name it."
  value       = aws_lb_target_group.this.arn_suffix
}

output "autoscaling_group_name" {
  description = "The Auto Scaling group; also the dimension under which hosts report their memory."
  value       = aws_autoscaling_group.this.name
}

output "launch_template_id" {
  description = "The launch template of the hosts."
  value       = aws_launch_template.this.id
}

output "security_group_id" {
  description = "The hosts' security group, for rules of others."
  value       = aws_security_group.hosts.id
}

output "load_balancer_security_group_id" {
  description = "The load balancer's security group."
  value       = aws_security_group.load_balancer.id
}
