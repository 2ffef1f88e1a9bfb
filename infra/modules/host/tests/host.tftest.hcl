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

run "a_host_as_it_is_without_asking_for_more" {
  command = apply

  override_resource {
    target = aws_instance.this
    values = { public_ip = "198.51.100.7", private_ip = "10.0.0.7" }
  }

  assert {
    condition     = aws_instance.this.instance_type == "t3.medium"
    error_message = "The default type is t3.medium."
  }

  assert {
    condition     = one(aws_instance.this.metadata_options).http_tokens == "required" && one(aws_instance.this.metadata_options).http_put_response_hop_limit == 1
    error_message = "Metadata needs a token (IMDSv2) and its answers do not leave the host (hop limit 1)."
  }

  assert {
    condition     = one(aws_instance.this.root_block_device).encrypted && one(aws_instance.this.root_block_device).volume_type == "gp3" && one(aws_instance.this.root_block_device).volume_size == 30
    error_message = "The root volume is encrypted, of type gp3, and has a size."
  }

  assert {
    condition     = aws_instance.this.key_name == null || strcontains(aws_instance.this.key_name, "quarterdeck") == false
    error_message = "There is no key pair."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.ssh) == 0 && length(aws_vpc_security_group_ingress_rule.monitoring) == 0
    error_message = "Neither SSH nor the monitoring is open."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.http : "${rule.ip_protocol} ${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4}"] == ["tcp 80-80 0.0.0.0/0"]
    error_message = "Port 80 is open, and it alone."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.this : "${rule.ip_protocol} ${rule.from_port}-${rule.to_port}"] == ["tcp 443-443", "tcp 80-80"]
    error_message = "The host reaches others on web ports only."
  }

  assert {
    condition     = !strcontains(aws_instance.this.user_data, "ssh") && strcontains(aws_instance.this.user_data, "ENVIRONMENT=dev")
    error_message = "User data writes the settings and lets no key in."
  }

  assert {
    condition     = aws_instance.this.user_data_replace_on_change
    error_message = "Settings that changed must reach the host; cloud-init reads them once, so it is replaced."
  }

  assert {
    condition     = aws_instance.this.tags == tomap({ Name = "quarterdeck-dev", Project = "quarterdeck", Environment = "dev" })
    error_message = "Policies know the host by its tags."
  }

  assert {
    condition     = length(aws_eip.this) == 0 && output.public_address == "198.51.100.7" && output.url == "http://198.51.100.7"
    error_message = "Without an Elastic IP the address is the instance's."
  }
}

run "with_an_address_of_its_own_and_doors_for_those_who_are_named" {
  command = apply

  variables {
    elastic_ip       = true
    http_cidrs       = ["203.0.113.0/24"]
    monitoring_cidrs = ["203.0.113.7/32"]
    settings         = { FRONT_URL_APP = "http://127.0.0.1:80" }
    ssh = {
      cidrs       = ["203.0.113.7/32", "10.0.0.0/8"]
      public_keys = { ada = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmVyg1D1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt ada@laptop" }
    }
  }

  override_resource {
    target = aws_eip.this
    values = { public_ip = "198.51.100.9" }
  }

  assert {
    condition     = output.public_address == "198.51.100.9" && aws_eip_association.this[0].instance_id == output.instance_id
    error_message = "The Elastic IP is bound to the instance and is what others see."
  }

  assert {
    condition     = { for rule in aws_vpc_security_group_ingress_rule.ssh : rule.cidr_ipv4 => rule.to_port } == { "203.0.113.7/32" = 22, "10.0.0.0/8" = 22 }
    error_message = "SSH is open to those who are named."
  }

  assert {
    condition     = { for rule in aws_vpc_security_group_ingress_rule.monitoring : rule.description => rule.to_port } == { "cadvisor from 203.0.113.7/32" = 8080, "grafana from 203.0.113.7/32" = 3000, "prometheus from 203.0.113.7/32" = 9090 }
    error_message = "The monitoring is open to those who are named."
  }

  assert {
    condition     = strcontains(aws_instance.this.user_data, "quarterdeck-ada") && !strcontains(aws_instance.this.user_data, "ada@laptop") && strcontains(aws_instance.this.user_data, "FRONT_URL_APP=http://127.0.0.1:80")
    error_message = "The key goes in by the name it was given under, and the settings with it."
  }
}

run "refuses_texts_that_are_none_of_theirs" {
  command = plan
  variables {
    name                  = "Quarterdeck"
    environment           = "Dev"
    vpc_id                = "default"
    subnet_id             = "a"
    ami_id                = "ubuntu"
    instance_type         = "t4g.medium"
    root_volume_gib       = 8
    kms_key_arn           = "alias/ebs"
    instance_profile_name = "arn:aws:iam::123456789012:instance-profile/x"
    http_cidrs            = ["anywhere"]
    monitoring_cidrs      = ["203.0.113.7"]
    monitoring_ports      = { ssh = 22 }
    ssh                   = { cidrs = [], public_keys = { ada = "k" } }
    egress_ports          = [80]
    settings              = { "a b" = "c" }
  }
  expect_failures = [
    var.name, var.environment, var.vpc_id, var.subnet_id, var.ami_id, var.instance_type, var.root_volume_gib, var.kms_key_arn, var.instance_profile_name,
    var.http_cidrs, var.monitoring_cidrs, var.monitoring_ports, var.ssh, var.egress_ports, var.settings,
  ]
}

run "refuses_ssh_and_monitoring_open_to_the_internet" {
  command = plan
  variables {
    ssh              = { cidrs = ["0.0.0.0/0"], public_keys = { ada = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmVyg1D1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt" } }
    monitoring_cidrs = ["0.0.0.0/1", "128.0.0.0/1"]
    instance_type    = "t3.micro"
    http_cidrs       = ["10.0.0.1/8"]
    root_volume_gib  = 30.5
    monitoring_ports = { "Grafana UI" = 3000 }
    egress_ports     = [443, 70000]
  }
  expect_failures = [var.ssh, var.monitoring_cidrs, var.instance_type, var.http_cidrs, var.root_volume_gib, var.monitoring_ports, var.egress_ports]
}

run "refuses_ssh_without_keys" {
  command = plan
  variables {
    ssh = { cidrs = ["203.0.113.7/32"], public_keys = {} }
  }
  expect_failures = [var.ssh]
}

run "refuses_ssh_from_what_is_no_range" {
  command = plan
  variables {
    ssh = { cidrs = ["203.0.113.7/24"], public_keys = { ada = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmVyg1D1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt" } }
  }
  expect_failures = [var.ssh]
}
