output "vpc_id" {
  description = "The network's id."
  value       = local.vpc_id
}

output "vpc_cidr" {
  description = "The network's IPv4 range."
  value       = local.vpc_cidr
}

output "availability_zones" {
  description = "The zones in use, in the order of the subnets."
  value       = local.zones

  precondition {
    condition     = length(local.zones) == var.az_count
    error_message = "az_count asks for ${var.az_count} availability zones, and this account has ${length(local.zones)} here${var.use_default_vpc ? " with a default subnet" : ""}: take fewer."
  }
}

output "public_subnet_ids" {
  description = "One subnet in each zone whose addresses can be public."
  value       = local.public_subnet_ids

  # Whoever puts something there finds the way out open: a host asks for its image as soon as it starts.
  depends_on = [aws_route.internet, aws_route_table_association.public]
}

output "private_subnet_ids" {
  description = "One subnet in each zone that cannot be reached from the internet; empty without private_subnets."
  value       = local.private_subnet_ids

  depends_on = [
    aws_route.nat,
    aws_route_table_association.private,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_ingress_rule.endpoints,
  ]
}

output "nat_public_ips" {
  description = "The addresses under which private subnets are seen outside, for the allow-lists of others."
  value       = [for zone in local.nat_zones : aws_eip.nat[zone].public_ip]
}

output "endpoint_security_group_id" {
  description = "The security group of the interface endpoints; null without any."
  value       = one(aws_security_group.endpoints[*].id)
}

output "flow_log_group_name" {
  description = "The log group of the flow logs; null without."
  value       = one(aws_cloudwatch_log_group.flow[*].name)
}
