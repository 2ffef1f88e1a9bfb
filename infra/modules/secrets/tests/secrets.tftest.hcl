mock_provider "aws" {}

variables {
  environment = "dev"
  parameters = {
    APP_METRICS_TOKEN = { service = "app", description = "Who may read /metrics; any random text." }
  }
}

run "a_secret_lies_where_the_host_looks_for_it" {
  command = plan

  assert {
    condition     = output.parameter_names == { APP_METRICS_TOKEN = "/quarterdeck/dev/app/APP_METRICS_TOKEN" }
    error_message = "The host reads /quarterdeck/<environment>/<service>/."
  }
  assert {
    condition     = aws_ssm_parameter.this["APP_METRICS_TOKEN"].type == "SecureString"
    error_message = "Secrets are encrypted."
  }
}

run "no_value_is_written_down" {
  variables {
    values = { APP_METRICS_TOKEN = "a-value-of-this-test" }
  }
  assert {
    condition     = aws_ssm_parameter.this["APP_METRICS_TOKEN"].value_wo == null
    error_message = "What is write-only is in no plan and no state."
  }
}

run "a_new_description_alone_changes_nothing" {
  command = plan
  variables {
    parameters = {
      APP_METRICS_TOKEN = { service = "app", description = "Other words." }
    }
  }
  assert {
    condition     = aws_ssm_parameter.this["APP_METRICS_TOKEN"].description == "Who may read /metrics; any random text."
    error_message = "It would be sent without the value."
  }
}

run "two_services_may_share_a_name" {
  command = plan
  variables {
    parameters = {
      app_token = { service = "app", name = "TOKEN", description = "The app's." }
      bot_token = { service = "bot", name = "TOKEN", description = "The bot's.", value_version = 2 }
    }
  }
  assert {
    condition     = values(output.parameter_names) == ["/quarterdeck/dev/app/TOKEN", "/quarterdeck/dev/bot/TOKEN"]
    error_message = "Each has its own path."
  }
}

run "no_secrets_are_fine" {
  command = plan
  variables {
    parameters = {}
    kms_key_id = "alias/quarterdeck"
  }
}

run "an_environment_has_a_form" {
  command = plan
  variables {
    environment = "dev/../prod"
  }
  expect_failures = [var.environment]
}

run "a_name_becomes_a_variable" {
  command = plan
  variables {
    parameters = { "app-token" = { service = "app", description = "x" } }
  }
  expect_failures = [var.parameters]
}

run "a_reserved_name" {
  command = plan
  variables {
    parameters = { LD_PRELOAD = { service = "app", description = "x" } }
  }
  expect_failures = [var.parameters]
}

run "the_bot_gets_its_two_tokens" {
  command = plan
  variables {
    parameters = {
      QUARTERDECK_DISCORD_TOKEN = { service = "bot", description = "The bot's token at Discord." }
      QUARTERDECK_GITHUB_TOKEN  = { service = "bot", description = "Its token at GitHub." }
    }
  }
  assert {
    condition     = output.parameter_names["QUARTERDECK_GITHUB_TOKEN"] == "/quarterdeck/dev/bot/QUARTERDECK_GITHUB_TOKEN"
    error_message = "The bot's secrets lie where its host looks for them."
  }
}

run "the_bots_tokens_are_no_other_services" {
  command = plan
  variables {
    parameters = { QUARTERDECK_DISCORD_TOKEN = { service = "app", description = "x" } }
  }
  expect_failures = [var.parameters]
}

run "the_bot_has_no_other_reserved_name" {
  command = plan
  variables {
    parameters = { QUARTERDECK_OTHER = { service = "bot", description = "x" } }
  }
  expect_failures = [var.parameters]
}

run "a_service_has_a_form" {
  command = plan
  variables {
    parameters = { TOKEN = { service = "App", description = "x" } }
  }
  expect_failures = [var.parameters]
}

run "a_secret_says_what_it_is_for" {
  command = plan
  variables {
    parameters = { TOKEN = { service = "app", description = " " } }
  }
  expect_failures = [var.parameters]
}

run "versions_are_counted_from_one" {
  command = plan
  variables {
    parameters = { TOKEN = { service = "app", description = "x", value_version = 0 } }
  }
  expect_failures = [var.parameters]
}

run "two_of_the_same_path" {
  command = plan
  variables {
    parameters = {
      TOKEN = { service = "app", description = "x" }
      other = { service = "app", name = "TOKEN", description = "x" }
    }
  }
  expect_failures = [var.parameters]
}

run "a_value_for_nothing" {
  command = plan
  variables {
    values = { OTHER = "x" }
  }
  expect_failures = [var.values]
}

run "a_value_of_two_lines" {
  command = plan
  variables {
    values = { APP_METRICS_TOKEN = "one\ntwo" }
  }
  expect_failures = [var.values]
}

run "an_empty_value" {
  command = plan
  variables {
    values = { APP_METRICS_TOKEN = "" }
  }
  expect_failures = [var.values]
}

run "a_key_has_a_form" {
  command = plan
  variables {
    kms_key_id = "quarterdeck"
  }
  expect_failures = [var.kms_key_id]
}
