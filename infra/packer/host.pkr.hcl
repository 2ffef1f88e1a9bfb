# The image of a host: Ubuntu LTS with everything that an instance needs, so that its first boot only starts things.

locals {
  built_at  = timestamp()
  name      = "quarterdeck-host-${formatdate("YYYYMMDD-hhmmss", local.built_at)}"
  ssm_agent = var.ssm_agent_source != "" ? var.ssm_agent_source : "https://s3.${var.region}.amazonaws.com/amazon-ssm-${var.region}"
  upload    = "/tmp/quarterdeck"
  as_root   = "sudo -n env {{ .Vars }} bash {{ .Path }}"

  tags = {
    Project = "quarterdeck"
    Name    = local.name
    Role    = "host"
    Commit  = var.commit
  }
}

source "amazon-ebs" "host" {
  region                 = var.region
  custom_endpoint_ec2    = var.ec2_endpoint
  skip_region_validation = var.ec2_endpoint != ""

  ami_name        = local.name
  ami_description = "A host of Quarterdeck: container engine, front, SSM agent, and the scripts of infra/host."
  tags            = local.tags
  snapshot_tags   = local.tags
  run_tags        = merge(local.tags, { Name = "${local.name}-builder" })
  run_volume_tags = local.tags

  source_ami_filter {
    owners      = [var.base_image_owner]
    most_recent = true
    filters = {
      name                = var.base_image_name
      architecture        = "x86_64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  instance_type               = var.instance_type
  subnet_id                   = var.subnet_id
  associate_public_ip_address = true

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_type           = "gp3"
    volume_size           = var.root_volume_gib
    iops                  = 3000
    throughput            = 125
    encrypted             = true
    delete_on_termination = true
  }

  # The builder has no instance profile: its metadata service has no credentials to give away. That hosts speak IMDSv2 only
  # is said where they are launched (modules/host, modules/fleet).

  communicator                          = "ssh"
  ssh_username                          = "ubuntu"
  ssh_host                              = var.ssh_host
  ssh_port                              = var.ssh_port
  ssh_private_key_file                  = var.ssh_private_key_file
  ssh_timeout                           = "10m"
  temporary_security_group_source_cidrs = var.ssh_cidrs
}

build {
  name    = "host"
  sources = ["source.amazon-ebs.host"]

  provisioner "shell" {
    inline = ["mkdir -m 0700 ${local.upload}"]
  }

  provisioner "file" {
    source      = "${path.root}/provision"
    destination = local.upload
  }

  provisioner "file" {
    source      = "${path.root}/../host"
    destination = local.upload
  }

  provisioner "shell" {
    execute_command = local.as_root
    inline_shebang  = "/usr/bin/env bash"
    environment_vars = [
      "AWS_CLI_SHA256=${var.aws_cli_sha256}",
      "AWS_CLI_SOURCE=${var.aws_cli_source}",
      "AWS_CLI_VERSION=${var.aws_cli_version}",
      "DOCKER_KEY_SHA256=${var.docker_key_sha256}",
      "DOCKER_PACKAGES=${join(" ", var.docker_packages)}",
      "DOCKER_REPOSITORY=${var.docker_repository}",
      "DOCKER_SUITE=${var.docker_suite}",
      "SSM_AGENT_SHA256=${var.ssm_agent_sha256}",
      "SSM_AGENT_SOURCE=${local.ssm_agent}",
      "SSM_AGENT_VERSION=${var.ssm_agent_version}",
    ]
    inline = [
      "set -e",
      "${local.upload}/provision/packages",
      "${local.upload}/provision/programs",
      "${local.upload}/host/install",
      "${local.upload}/provision/verify",
      "${local.upload}/provision/tidy",
    ]
  }

  post-processors {
    post-processor "manifest" {
      output      = var.manifest
      strip_path  = true
      custom_data = local.tags
    }

    # An argument vector, no shell: the script gets the names as words of their own.
    post-processor "shell-local" {
      execute_command = [var.python, "{{ .Script }}", var.manifest, var.region, var.parameter]
      script          = "${path.root}/record-image"
    }
  }
}
