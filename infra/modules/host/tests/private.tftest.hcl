mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
}

variables {
  name                  = "quarterdeck-dev"
  environment           = "dev"
  vpc_id                = "vpc-0123456789abcdef0"
  subnet_id             = "subnet-0123456789abcdef0"
  ami_id                = "ami-0123456789abcdef0"
  instance_profile_name = "quarterdeck-dev-instance"
}

run "in_a_private_subnet_it_has_no_public_address" {
  command = apply

  variables {
    http_cidrs = []
  }

  override_resource {
    target = aws_instance.this
    values = { public_ip = "", private_ip = "10.0.128.7" }
  }

  assert {
    condition     = output.public_address == null && output.url == "http://10.0.128.7" && length(aws_vpc_security_group_ingress_rule.http) == 0
    error_message = "A host without a public address is known by its private one."
  }
}
