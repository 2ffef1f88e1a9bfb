mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1c", "eu-central-1a", "eu-central-1b"] }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  name = "quarterdeck-prod"
}

run "two_zones_public_and_private_with_one_way_out" {
  command = plan

  variables {
    private_subnets = true
    nat             = "one"
    endpoints       = ["s3", "ssm", "ecr", "logs"]

    flow_log_kms_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/quarterdeck-workload-boundary"
  }

  assert {
    condition     = join(" ", output.availability_zones) == "eu-central-1a eu-central-1b"
    error_message = "The first zones by name are used, in whatever order AWS lists them."
  }

  assert {
    condition     = { for zone, subnet in aws_subnet.public : zone => subnet.cidr_block } == { "eu-central-1a" = "10.0.0.0/20", "eu-central-1b" = "10.0.16.0/20" }
    error_message = "Public subnets are the first sixteenths."
  }

  assert {
    condition     = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == { "eu-central-1a" = "10.0.128.0/20", "eu-central-1b" = "10.0.144.0/20" }
    error_message = "Private subnets are the sixteenths from the ninth on."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.private : subnet.map_public_ip_on_launch != true])
    error_message = "Nothing in a private subnet gets a public address."
  }

  assert {
    condition     = join(" ", keys(aws_nat_gateway.this)) == "eu-central-1a" && join(" ", keys(aws_route.nat)) == "eu-central-1a eu-central-1b"
    error_message = "One NAT gateway serves all zones."
  }

  assert {
    condition     = length(aws_route.internet) == 1 && aws_route.internet[0].destination_cidr_block == "0.0.0.0/0"
    error_message = "Public subnets have a way to the internet."
  }

  assert {
    condition     = join(" ", keys(aws_vpc_endpoint.interface)) == "ec2messages ecr.api ecr.dkr logs monitoring ssm ssmmessages"
    error_message = "Systems Manager, the registry and CloudWatch each have all of their endpoints."
  }

  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "Without private names nobody would use the endpoints."
  }

  assert {
    condition     = aws_vpc_endpoint.s3[0].vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3[0].service_name == "com.amazonaws.eu-central-1.s3"
    error_message = "S3 is reached by a gateway endpoint, which costs nothing."
  }

  assert {
    condition     = one(aws_vpc_security_group_ingress_rule.endpoints).from_port == 443 && one(aws_vpc_security_group_ingress_rule.endpoints).to_port == 443
    error_message = "Endpoints answer on 443 only."
  }

  assert {
    condition     = aws_flow_log.this[0].traffic_type == "ALL" && aws_cloudwatch_log_group.flow[0].retention_in_days == 30
    error_message = "Flow logs are on, and are kept for 30 days."
  }

  assert {
    condition     = aws_iam_role.flow[0].permissions_boundary == "arn:aws:iam::123456789012:policy/quarterdeck-workload-boundary" && aws_iam_role.flow[0].name == "quarterdeck-prod-flow-logs-eu-central-1"
    error_message = "The role has the boundary that it was given, and a name that another region's does not have."
  }

  assert {
    condition     = length(aws_default_security_group.this) == 1
    error_message = "The default security group is taken over, so that it has no rules."
  }
}

run "three_zones_each_with_its_own_way_out" {
  command = plan

  variables {
    cidr            = "192.168.4.0/22"
    az_count        = 3
    private_subnets = true
    nat             = "per_az"
    endpoints       = []
    flow_logs       = false
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_eip.nat) == 3 && length(aws_route.nat) == 3
    error_message = "Each zone has a NAT gateway."
  }

  assert {
    condition     = aws_subnet.private["eu-central-1c"].cidr_block == "192.168.6.128/26"
    error_message = "A sixteenth of a /22 is a /26."
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) + length(aws_vpc_endpoint.s3) + length(aws_security_group.endpoints) + length(aws_flow_log.this) + length(aws_iam_role.flow) == 0
    error_message = "What is switched off is not created."
  }
}

run "the_default_network_is_used_and_not_touched" {
  command = plan

  variables {
    use_default_vpc = true
    az_count        = 1
    flow_logs       = false
    endpoints       = []
  }

  override_data {
    target = data.aws_subnets.default[0]
    values = { ids = ["subnet-0aaaaaaaaaaaaaaaa"] }
  }

  override_data {
    target = data.aws_subnet.default
    values = { id = "subnet-0aaaaaaaaaaaaaaaa", availability_zone = "eu-central-1b" }
  }

  assert {
    condition     = join(" ", output.public_subnet_ids) == "subnet-0aaaaaaaaaaaaaaaa" && join(" ", output.availability_zones) == "eu-central-1b"
    error_message = "The default network's own subnets are handed on."
  }

  assert {
    condition     = length(aws_vpc.this) + length(aws_subnet.public) + length(aws_route_table.public) + length(aws_default_security_group.this) == 0
    error_message = "Nothing is created in the default network, and nothing of it taken over."
  }
}

run "refuses_texts_that_are_none_of_theirs" {
  command = plan
  variables {
    name                 = "Quarterdeck"
    cidr                 = "10.0.0.0"
    az_count             = 4
    nat                  = "two"
    endpoints            = ["s3", "dynamodb"]
    flow_log_kms_key_arn = "alias/logs"

    permissions_boundary_arn = "quarterdeck-workload-boundary"
  }
  expect_failures = [var.name, var.cidr, var.az_count, var.nat, var.endpoints, var.flow_log_kms_key_arn, var.permissions_boundary_arn]
}

run "refuses_host_bits_nat_without_private_subnets_ecr_without_s3_and_logs_for_ever" {
  command = plan
  variables {
    cidr                    = "10.0.0.1/16"
    nat                     = "one"
    endpoints               = ["ecr"]
    flow_log_retention_days = 0
  }
  expect_failures = [var.cidr, var.nat, var.endpoints, var.flow_log_retention_days]
}

run "refuses_addresses_of_others_a_retention_that_aws_does_not_know_and_private_default_subnets" {
  command = plan
  variables {
    cidr                    = "11.0.0.0/16"
    az_count                = 1.5
    flow_log_retention_days = 31
    private_subnets         = true
    use_default_vpc         = true
  }
  expect_failures = [var.cidr, var.az_count, var.flow_log_retention_days, var.private_subnets]
}

run "refuses_a_range_too_small_and_a_log_group_kept_for_minus_one_day" {
  command = plan
  variables {
    cidr                    = "10.0.0.0/24"
    flow_log_retention_days = -1
  }
  expect_failures = [var.cidr, var.flow_log_retention_days]
}

run "refuses_the_range_of_dockers_bridge" {
  command = plan
  variables {
    cidr = "172.17.0.0/16"
  }
  expect_failures = [var.cidr]
}

run "refuses_more_zones_than_there_are" {
  command = plan

  override_data {
    target = data.aws_availability_zones.available
    values = { names = ["eu-central-1a"] }
  }

  expect_failures = [output.availability_zones]
}
