data "aws_region" "current" {}

# What the image calls its root device: under another name the settings below would add a second volume beside it.
data "aws_ami" "this" {
  filter {
    name   = "image-id"
    values = [var.ami_id]
  }

  lifecycle {
    postcondition {
      condition     = self.root_device_type == "ebs"
      error_message = "The image ${var.ami_id} does not start from an EBS volume. Build one with infra/packer."
    }
  }
}

locals {
  # ALB and hosts speak plain HTTP to each other inside the network; TLS ends at the load balancer.
  front_port = 80

  # The instances' tags: default_tags of the provider reach neither them nor their volumes, because Auto Scaling makes those.
  tags = { Name = var.name, Project = "quarterdeck", Environment = var.environment }
}

module "user_data" {
  source      = "../user_data"
  environment = var.environment
  settings    = merge(var.settings, { AUTOSCALING_GROUP = var.name })
}

resource "aws_launch_template" "this" {
  name_prefix            = "${var.name}-"
  description            = "Host of ${var.environment}"
  image_id               = var.ami_id
  instance_type          = var.instance_type
  ebs_optimized          = true
  update_default_version = true
  user_data              = base64encode(module.user_data.text)
  vpc_security_group_ids = [aws_security_group.hosts.id]

  iam_instance_profile {
    name = var.instance_profile_name
  }

  # Figures every minute: with five-minute ones scaling comes too late.
  monitoring {
    enabled = true
  }

  # Hop limit 1: an answer does not get over a container's bridge, so only what runs on the host's own network has the role.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  block_device_mappings {
    device_name = data.aws_ami.this.root_device_name

    ebs {
      volume_type           = "gp3"
      volume_size           = var.root_volume_gib
      encrypted             = true
      kms_key_id            = var.kms_key_arn
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_autoscaling_group" "this" {
  name                = var.name # desired_capacity is left out: scaling decides it, and no plan puts it back
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.private_subnet_ids
  target_group_arns   = [aws_lb_target_group.this.arn]
  enabled_metrics     = ["GroupDesiredCapacity", "GroupInServiceInstances", "GroupPendingInstances", "GroupTerminatingInstances"]

  health_check_type         = var.replace_unhealthy ? "ELB" : "EC2"
  health_check_grace_period = var.boot_seconds
  default_instance_warmup   = var.boot_seconds

  # The version by number: going back by itself needs to know which one was there before.
  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  # A new launch template (image, type, settings) replaces the hosts: a new one first, then an old one goes.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 150
      instance_warmup        = var.boot_seconds
      auto_rollback          = true
      skip_matching          = true
    }
  }

  dynamic "tag" {
    for_each = local.tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }
}
