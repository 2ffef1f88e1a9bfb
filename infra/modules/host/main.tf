locals {
  tags = { Name = var.name, Project = "quarterdeck", Environment = var.environment }
}

module "user_data" {
  source          = "../user_data"
  environment     = var.environment
  settings        = var.settings
  ssh_public_keys = var.ssh == null ? {} : var.ssh.public_keys
}

# The old host goes before the new one comes, as Terraform does unless told otherwise: a host may carry the bot, and two
# bots must never run at once. An environment that cannot be away for some minutes wants the module fleet.
resource "aws_instance" "this" {
  #checkov:skip=CKV_AWS_126:detailed monitoring costs money for each host and is a variable
  ami                    = var.ami_id
  instance_type          = var.instance_type
  subnet_id              = var.subnet_id
  vpc_security_group_ids = [aws_security_group.this.id]
  iam_instance_profile   = var.instance_profile_name
  ebs_optimized          = true
  monitoring             = var.detailed_monitoring

  # cloud-init reads user data once in an instance's life: settings that changed reach the host as a new one.
  user_data                   = module.user_data.text
  user_data_replace_on_change = true

  # Hop limit 1: an answer does not get over a container's bridge, so only what runs on the host's own network has the role.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  root_block_device {
    volume_type           = "gp3"
    volume_size           = var.root_volume_gib
    encrypted             = true
    kms_key_id            = var.kms_key_arn
    delete_on_termination = true
    tags                  = local.tags
  }

  tags = local.tags
}

# An address of its own, bound to whichever instance is the host now.
resource "aws_eip" "this" {
  count  = var.elastic_ip ? 1 : 0
  domain = "vpc"

  tags = local.tags
}

resource "aws_eip_association" "this" {
  count         = var.elastic_ip ? 1 : 0
  allocation_id = aws_eip.this[0].id
  instance_id   = aws_instance.this.id
}
