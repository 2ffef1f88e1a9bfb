# The internet reaches the load balancer, the load balancer reaches the hosts, and nobody else does. Hosts have no port
# 22 at all: Systems Manager's agent calls out.

resource "aws_security_group" "load_balancer" {
  name_prefix = "${var.name}-load-balancer-"
  description = "Load balancer of ${var.environment}: web in as allowed, hosts out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-load-balancer" }

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  doors = {
    for pair in setproduct([80, 443], var.ingress_cidrs) : "${pair[0]} from ${pair[1]}" => { port = tonumber(pair[0]), cidr = pair[1] }
  }
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  for_each          = local.doors
  security_group_id = aws_security_group.load_balancer.id
  description       = each.key
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  security_group_id            = aws_security_group.load_balancer.id
  description                  = "To the hosts"
  referenced_security_group_id = aws_security_group.hosts.id
  ip_protocol                  = "tcp"
  from_port                    = local.front_port
  to_port                      = local.front_port
}

resource "aws_security_group" "hosts" {
  name_prefix = "${var.name}-hosts-"
  description = "Hosts of ${var.environment}: load balancer in, web ports out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-hosts" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "hosts" {
  #checkov:skip=CKV_AWS_260:the rule names the load balancer's group and no addresses at all
  security_group_id            = aws_security_group.hosts.id
  description                  = "From the load balancer"
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.front_port
  to_port                      = local.front_port
}

# One of the hosts watches all: it reads the figures of the others. The rules name the hosts' own group and no addresses, so
# nobody outside of it gets to the exporters, which ask for no password.
locals {
  watched_ports = var.watched ? var.monitoring_ports : {}
}

resource "aws_vpc_security_group_ingress_rule" "watched" {
  #checkov:skip=CKV_AWS_260:the rules name the hosts' own group and no addresses at all
  for_each                     = local.watched_ports
  security_group_id            = aws_security_group.hosts.id
  description                  = "${each.key} from the host that watches"
  referenced_security_group_id = aws_security_group.hosts.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "watched" {
  for_each                     = local.watched_ports
  security_group_id            = aws_security_group.hosts.id
  description                  = "${each.key} of the hosts that are watched"
  referenced_security_group_id = aws_security_group.hosts.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

# Amazon's name and time servers and the metadata service are not subject to security groups.
resource "aws_vpc_security_group_egress_rule" "hosts" {
  for_each          = toset([for port in var.egress_ports : tostring(port)])
  security_group_id = aws_security_group.hosts.id
  description       = "Out on port ${each.value}"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.value)
  to_port           = tonumber(each.value)
}
