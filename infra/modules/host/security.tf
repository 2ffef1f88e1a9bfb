# Who may speak to the host, and to whom it may speak. Systems Manager needs nothing from outside: the agent calls out.

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-host-"
  description = "Host of ${var.environment}: HTTP in as allowed, web ports out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-host" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "http" {
  #checkov:skip=CKV_AWS_260:a web service is there to be reached, and http_cidrs can narrow it
  for_each          = var.http_cidrs
  security_group_id = aws_security_group.this.id
  description       = "HTTP from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

locals {
  monitoring_doors = {
    for pair in setproduct(keys(var.monitoring_ports), var.monitoring_cidrs) :
    "${pair[0]} from ${pair[1]}" => { port = var.monitoring_ports[pair[0]], cidr = pair[1] }
  }
}

resource "aws_vpc_security_group_ingress_rule" "monitoring" {
  for_each          = local.monitoring_doors
  security_group_id = aws_security_group.this.id
  description       = each.key
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each          = var.ssh == null ? toset([]) : var.ssh.cidrs
  security_group_id = aws_security_group.this.id
  description       = "SSH from ${each.value}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}

# Amazon's name and time servers and the metadata service are not subject to security groups.
resource "aws_vpc_security_group_egress_rule" "this" {
  for_each          = toset([for port in var.egress_ports : tostring(port)])
  security_group_id = aws_security_group.this.id
  description       = "Out on port ${each.value}"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.value)
  to_port           = tonumber(each.value)
}
