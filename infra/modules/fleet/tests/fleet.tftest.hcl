mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_data "aws_ami" {
    defaults = { root_device_name = "/dev/sda1", root_device_type = "ebs" }
  }

  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/quarterdeck-prod/0123456789abcdef" }
  }

  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/qdeck-1/0123456789abcdef" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 3 }
  }
}

variables {
  name                  = "quarterdeck-prod"
  environment           = "prod"
  vpc_id                = "vpc-0123456789abcdef0"
  public_subnet_ids     = ["subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"]
  private_subnet_ids    = ["subnet-0cccccccccccccccc", "subnet-0dddddddddddddddd"]
  ami_id                = "ami-0123456789abcdef0"
  instance_profile_name = "quarterdeck-prod-instance"
  certificate_arn       = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
}

run "a_fleet_as_it_is_without_asking_for_more" {
  command = apply

  assert {
    condition     = aws_autoscaling_group.this.min_size == 2 && aws_autoscaling_group.this.max_size == 4 && aws_autoscaling_group.this.vpc_zone_identifier == toset(var.private_subnet_ids)
    error_message = "Two to four hosts, in the private subnets of two zones."
  }

  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "ELB" && aws_autoscaling_group.this.target_group_arns == toset([aws_lb_target_group.this.arn])
    error_message = "A host that does not answer the load balancer is replaced."
  }

  assert {
    condition     = one(aws_autoscaling_group.this.launch_template).version == "3"
    error_message = "The group names the launch template's newest version by number."
  }

  assert {
    condition     = one(one(aws_autoscaling_group.this.instance_refresh).preferences).min_healthy_percentage == 100 && one(one(aws_autoscaling_group.this.instance_refresh).preferences).auto_rollback
    error_message = "A refresh never leaves fewer hosts than there were, and goes back when it fails."
  }

  assert {
    condition     = { for tag in aws_autoscaling_group.this.tag : tag.key => tag.value if tag.propagate_at_launch } == { Name = "quarterdeck-prod", Project = "quarterdeck", Environment = "prod" }
    error_message = "Policies know hosts by their tags."
  }

  assert {
    condition     = one(aws_launch_template.this.metadata_options).http_tokens == "required" && one(aws_launch_template.this.metadata_options).http_put_response_hop_limit == 1
    error_message = "Metadata needs a token (IMDSv2) and its answers do not leave the host (hop limit 1)."
  }

  assert {
    condition     = one(aws_launch_template.this.block_device_mappings).device_name == "/dev/sda1" && one(one(aws_launch_template.this.block_device_mappings).ebs).encrypted == "true" && one(one(aws_launch_template.this.block_device_mappings).ebs).volume_type == "gp3"
    error_message = "The root volume is the image's own, encrypted, and of type gp3."
  }

  assert {
    condition     = aws_launch_template.this.key_name == null || aws_launch_template.this.key_name == ""
    error_message = "There is no key pair."
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.this.user_data), "AUTOSCALING_GROUP=quarterdeck-prod\\nENVIRONMENT=prod\\nREGION=eu-central-1\\n")
    error_message = "Hosts learn their group's name, under which they report their memory."
  }

  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && aws_lb_listener.https.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    error_message = "TLS 1.2 and 1.3 only."
  }

  assert {
    condition     = one(one(aws_lb_listener.http.default_action).redirect).protocol == "HTTPS" && one(one(aws_lb_listener.http.default_action).redirect).status_code == "HTTP_301"
    error_message = "Plain HTTP only sends people to HTTPS."
  }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection && !aws_lb.this.internal
    error_message = "The load balancer drops invalid headers and is protected against deletion."
  }

  assert {
    condition     = one(aws_lb_target_group.this.health_check).path == "/health" && one(aws_lb_target_group.this.health_check).matcher == "200" && aws_lb_target_group.this.deregistration_delay == "60"
    error_message = "A host gets requests while /health answers 200, and has 60 s to finish when it goes."
  }

  assert {
    condition     = one(one(aws_autoscaling_policy.cpu.target_tracking_configuration).predefined_metric_specification).predefined_metric_type == "ASGAverageCPUUtilization" && one(aws_autoscaling_policy.cpu.target_tracking_configuration).target_value == 60
    error_message = "The number of hosts follows the processors' use."
  }

  assert {
    condition     = one(one(one(aws_autoscaling_policy.memory.target_tracking_configuration).customized_metric_specification).metric_dimension).value == "quarterdeck-prod" && one(one(aws_autoscaling_policy.memory.target_tracking_configuration).customized_metric_specification).metric_name == "MemoryUsedPercent"
    error_message = "The number of hosts follows the use of memory that they report under their group's name."
  }

  assert {
    condition     = join(", ", keys(aws_vpc_security_group_ingress_rule.load_balancer)) == "443 from 0.0.0.0/0, 80 from 0.0.0.0/0"
    error_message = "The load balancer answers on 80 and 443."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.hosts.referenced_security_group_id == aws_security_group.load_balancer.id && aws_vpc_security_group_ingress_rule.hosts.to_port == 80
    error_message = "Hosts answer the load balancer only."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.watched) == 0 && length(aws_vpc_security_group_egress_rule.watched) == 0
    error_message = "Hosts do not reach each other unless one of them watches."
  }
}

run "hosts_of_which_one_watches" {
  command = apply

  variables {
    watched      = true
    egress_ports = [443]
  }

  assert {
    condition     = sort([for rule in aws_vpc_security_group_ingress_rule.watched : format("%05d", rule.from_port)]) == tolist(["00080", "08080", "09100"])
    error_message = "Prometheus reads the front, cAdvisor and node exporter."
  }

  assert {
    condition = alltrue([
      for rule in concat(values(aws_vpc_security_group_ingress_rule.watched), values(aws_vpc_security_group_egress_rule.watched)) :
      rule.security_group_id == aws_security_group.hosts.id && rule.referenced_security_group_id == aws_security_group.hosts.id && rule.ip_protocol == "tcp" && rule.from_port == rule.to_port
    ])
    error_message = "Figures go from hosts of the group to hosts of the group, one port a rule."
  }

  assert {
    condition = alltrue([
      for rule in concat(values(aws_vpc_security_group_ingress_rule.watched), values(aws_vpc_security_group_egress_rule.watched)) :
      rule.cidr_ipv4 == null && rule.cidr_ipv6 == null && rule.prefix_list_id == null
    ])
    error_message = "No address at all is let in to the exporters, and none is asked."
  }

  assert {
    condition     = { for name, rule in aws_vpc_security_group_egress_rule.watched : name => rule.to_port } == { for name, rule in aws_vpc_security_group_ingress_rule.watched : name => rule.to_port }
    error_message = "What a host may be asked, the one that watches may ask: also where port 80 is not let out."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.hosts.referenced_security_group_id == aws_security_group.load_balancer.id && aws_vpc_security_group_egress_rule.load_balancer.to_port == 80
    error_message = "The load balancer reaches the front as before, and no exporter."
  }
}

run "one_host_that_waits_for_its_first_version" {
  command = apply

  variables {
    min_size            = 1
    max_size            = 1
    replace_unhealthy   = false
    deletion_protection = false
    access_logs_bucket  = "logs.example-1"
    ingress_cidrs       = ["203.0.113.0/24"]
    settings            = { FRONT_URL_APP = "http://127.0.0.1:80" }
  }

  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "EC2"
    error_message = "Before the first deployment no host is replaced for not answering."
  }

  assert {
    condition     = one(aws_lb.this.access_logs).bucket == "logs.example-1" && one(aws_lb.this.access_logs).enabled
    error_message = "Access logs go where they were asked to."
  }
}

run "refuses_texts_that_are_none_of_theirs" {
  command = plan
  variables {
    name                  = "a-name-that-is-far-too-long"
    environment           = "Prod"
    vpc_id                = "default"
    public_subnet_ids     = ["subnet-0aaaaaaaaaaaaaaaa"]
    private_subnet_ids    = []
    ami_id                = "ami-XYZ"
    instance_type         = "p4d.24xlarge"
    root_volume_gib       = 8
    kms_key_arn           = "alias/ebs"
    instance_profile_name = "arn:aws:iam::123456789012:instance-profile/x"
    settings              = { "a b" = "c" }
    max_size              = 101
    certificate_arn       = "arn:aws:iam::123456789012:server-certificate/x"
    health_path           = "health?deep=1"
    boot_seconds          = 10
    drain_seconds         = 0
    cpu_target_percent    = 95
    memory_target_percent = 0
    ingress_cidrs         = []
    egress_ports          = [80]
    access_logs_bucket    = "arn:aws:s3:::logs"
    monitoring_ports      = {}
  }
  expect_failures = [
    var.name, var.environment, var.vpc_id, var.public_subnet_ids, var.private_subnet_ids, var.ami_id, var.instance_type, var.root_volume_gib, var.kms_key_arn,
    var.instance_profile_name, var.settings, var.max_size, var.certificate_arn, var.health_path, var.boot_seconds, var.drain_seconds,
    var.cpu_target_percent, var.memory_target_percent, var.ingress_cidrs, var.egress_ports, var.access_logs_bucket, var.monitoring_ports,
  ]
}

run "refuses_more_hosts_at_least_than_at_most_and_a_group_of_anothers_name" {
  command = plan
  variables {
    min_size      = 5
    instance_type = "t3.nano"
    settings      = { AUTOSCALING_GROUP = "another" }
    ingress_cidrs = ["10.0.0.1/8"]
    egress_ports  = [443, 0]
  }
  expect_failures = [var.min_size, var.instance_type, var.settings, var.ingress_cidrs, var.egress_ports]
}

run "refuses_to_open_ssh_for_figures" {
  command = plan
  variables {
    monitoring_ports = { ssh = 22 }
  }
  expect_failures = [var.monitoring_ports]
}

run "refuses_a_port_twice" {
  command = plan
  variables {
    monitoring_ports = { cadvisor = 8080, another = 8080 }
  }
  expect_failures = [var.monitoring_ports]
}

run "refuses_no_host_at_all" {
  command = plan
  variables {
    min_size = 0
  }
  expect_failures = [var.min_size]
}

run "refuses_a_certificate_of_another_region" {
  command = plan
  variables {
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
  }
  expect_failures = [aws_lb.this]
}

run "refuses_an_image_without_a_volume" {
  command = plan

  override_data {
    target = data.aws_ami.this
    values = { root_device_name = "/dev/sda1", root_device_type = "instance-store" }
  }

  expect_failures = [data.aws_ami.this]
}
