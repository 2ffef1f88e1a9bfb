mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
}

variables {
  environment = "dev"
  settings = {
    FRONT_URL_APP = "http://127.0.0.1:80"
    REGISTRY      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
  }
}

run "writes_the_settings_and_starts_what_the_image_brought" {
  command = plan

  assert {
    condition     = startswith(output.text, "#cloud-config\n")
    error_message = "cloud-init knows cloud-config by its first line."
  }

  assert {
    condition     = join(",", keys(yamldecode(output.text))) == "runcmd,write_files"
    error_message = "User data may write files and start units; nothing else."
  }

  assert {
    condition = one(yamldecode(output.text).write_files) == {
      path        = "/etc/quarterdeck/host.env"
      owner       = "root:root"
      permissions = "0644"
      content     = "ENVIRONMENT=dev\nFRONT_URL_APP=http://127.0.0.1:80\nREGION=eu-central-1\nREGISTRY=123456789012.dkr.ecr.eu-central-1.amazonaws.com\n"
    }
    error_message = "The only file is the host's settings."
  }

  assert {
    condition     = join(" ", flatten(yamldecode(output.text).runcmd)) == "systemctl start --no-block quarterdeck.target"
    error_message = "The only command starts the target of the image's units, as a list of words and not as a line for a shell."
  }
}

run "keeps_what_looks_like_shell_or_yaml_as_text" {
  command = plan

  variables {
    settings = { RELOAD_COMMAND = "/bin/true; $(id) `id` $${HOME} %%{x} \"q\" 'q' # : - {a: b} <&>\\n" }
  }

  assert {
    condition     = one(yamldecode(output.text).write_files).content == "ENVIRONMENT=dev\nREGION=eu-central-1\nRELOAD_COMMAND=/bin/true; $(id) `id` $${HOME} %%{x} \"q\" 'q' # : - {a: b} <&>\\n\n"
    error_message = "A value must arrive in the file byte for byte."
  }

  assert {
    condition     = length(yamldecode(output.text).runcmd) == 1
    error_message = "A value must not become a command."
  }
}

run "lets_keys_in_only_when_there_are_some" {
  command = plan

  variables {
    ssh_public_keys = {
      ada   = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmVyg1D1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt ada@laptop; rm -rf /"
      grace = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGGraceD1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt"
    }
  }

  assert {
    condition = yamldecode(output.text).ssh_authorized_keys == [
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmVyg1D1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt quarterdeck-ada",
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGGraceD1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt quarterdeck-grace",
    ]
    error_message = "Each key goes in with the name it was given under, and without its comment."
  }

  assert {
    condition     = join(" ", yamldecode(output.text).runcmd[0]) == "systemctl enable --now ssh.service"
    error_message = "With keys, sshd is started."
  }
}

run "accepts_the_edges" {
  command = plan

  variables {
    environment = "production-eu-02"
    settings    = { ENVIRONMENT = "production-eu-02", A = "1" }
  }

  assert {
    condition     = output.text != ""
    error_message = "The same ENVIRONMENT twice is no contradiction."
  }
}

run "refuses_names_of_another_form" {
  command = plan
  variables {
    settings        = { "A B" = "1" }
    ssh_public_keys = { "ada lovelace" = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmVyg1D1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt" }
  }
  expect_failures = [var.settings, var.ssh_public_keys]
}

run "refuses_texts_of_two_lines" {
  command = plan
  variables {
    settings        = { A = "1\nENVIRONMENT=prod" }
    ssh_public_keys = { ada = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmVyg1D1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt ada\nssh-ed25519 AAAA" }
  }
  expect_failures = [var.settings, var.ssh_public_keys]
}

run "refuses_secrets" {
  command = plan
  variables {
    settings        = { DISCORD_TOKEN = "abc" }
    ssh_public_keys = { ada = "-----BEGIN OPENSSH PRIVATE KEY-----" }
  }
  expect_failures = [var.settings, var.ssh_public_keys]
}

run "refuses_an_empty_value_and_options_before_a_key" {
  command = plan
  variables {
    settings        = { A = "" }
    ssh_public_keys = { ada = "command=\"id\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBmVyg1D1xgqHqqPkVLUGLuMkJTqVJjBbzUmkFiP3Zjt" }
  }
  expect_failures = [var.settings, var.ssh_public_keys]
}

run "refuses_another_environment_among_the_settings" {
  command = plan
  variables {
    settings = { ENVIRONMENT = "prod" }
  }
  expect_failures = [var.settings]
}

run "refuses_an_environment_with_capitals" {
  command = plan
  variables {
    environment = "Dev"
    settings    = {}
  }
  expect_failures = [var.environment]
}
