locals {
  created  = var.use_default_vpc ? 0 : 1
  vpc_id   = var.use_default_vpc ? data.aws_vpc.default[0].id : aws_vpc.this[0].id
  vpc_cidr = var.use_default_vpc ? data.aws_vpc.default[0].cidr_block : aws_vpc.this[0].cidr_block

  # The first zones by name: which ones they are does not change from one plan to the next.
  default_subnets = { for subnet in data.aws_subnet.default : subnet.availability_zone => subnet.id... }
  all_zones       = sort(var.use_default_vpc ? keys(local.default_subnets) : data.aws_availability_zones.available.names)
  zones           = slice(local.all_zones, 0, min(var.az_count, length(local.all_zones)))

  # A sixteenth for each subnet: the first half of the range is public, the second private. Ranges depend on the zone's
  # place only, so that private subnets, NAT and zones can be added later without moving what is there.
  public_cidrs  = { for place, zone in local.zones : zone => cidrsubnet(var.cidr, 4, place) if !var.use_default_vpc }
  private_cidrs = { for place, zone in local.zones : zone => cidrsubnet(var.cidr, 4, place + 8) if var.private_subnets }

  nat_zones = {
    none   = []
    one    = slice(local.zones, 0, 1)
    per_az = local.zones
  }[var.nat]
  nat_of = { for zone in local.zones : zone => var.nat == "per_az" ? zone : local.zones[0] if var.nat != "none" }

  public_subnet_ids  = [for zone in local.zones : var.use_default_vpc ? local.default_subnets[zone][0] : aws_subnet.public[zone].id]
  private_subnet_ids = [for zone in local.zones : aws_subnet.private[zone].id if var.private_subnets]

  # SSM's three are what the agent and Session Manager speak to. ec2messages is asked by agents older than 3.3.40 only.
  endpoint_services = {
    ssm  = ["ssm", "ssmmessages", "ec2messages"]
    ecr  = ["ecr.api", "ecr.dkr"]
    logs = ["logs", "monitoring"]
  }
  interface_endpoints = toset(flatten([for name, services in local.endpoint_services : services if contains(var.endpoints, name)]))
}
