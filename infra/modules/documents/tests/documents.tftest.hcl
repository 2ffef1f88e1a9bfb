mock_provider "aws" {}

run "every_file_becomes_a_document" {
  command = plan

  assert {
    condition     = length(setsubtract(["quarterdeck-deploy", "quarterdeck-status"], output.names)) == 0
    error_message = "The bot sends quarterdeck-deploy and quarterdeck-status."
  }
  assert {
    condition     = length(output.names) == length(fileset("../../host/ssm", "*.yaml"))
    error_message = "No file of infra/host/ssm is left out."
  }
  assert {
    condition     = alltrue([for one in aws_ssm_document.this : one.document_type == "Command" && one.document_format == "YAML" && one.target_type == "/AWS::EC2::Instance"])
    error_message = "They are commands, for instances."
  }
  assert {
    condition     = aws_ssm_document.this["quarterdeck-deploy"].content == file("../../host/ssm/quarterdeck-deploy.yaml")
    error_message = "The file is the document, to the last byte."
  }
}

run "another_prefix_names_them_anew" {
  command = plan
  variables {
    name_prefix = "harbour"
  }
  assert {
    condition     = contains(output.names, "harbour-deploy") && !contains(output.names, "quarterdeck-deploy")
    error_message = "The prefix takes the place of quarterdeck."
  }
}

run "a_prefix_has_a_form" {
  command = plan
  variables {
    name_prefix = "Harbour_"
  }
  expect_failures = [var.name_prefix]
}

run "a_prefix_that_AWS_keeps" {
  command = plan
  variables {
    name_prefix = "aws-harbour"
  }
  expect_failures = [var.name_prefix]
}

run "a_folder_without_documents" {
  command = plan
  variables {
    folder = "./tests"
  }
  expect_failures = [var.folder]
}

run "a_parameter_that_would_become_script" {
  command = plan
  variables {
    folder = "./tests/textual"
  }
  expect_failures = [aws_ssm_document.this]
}

run "a_parameter_that_takes_anything" {
  command = plan
  variables {
    folder = "./tests/patternless"
  }
  expect_failures = [aws_ssm_document.this]
}

run "a_script_with_pasted_text" {
  command = plan
  variables {
    folder = "./tests/pasting"
  }
  expect_failures = [aws_ssm_document.this]
}

run "a_document_of_the_old_kind" {
  command = plan
  variables {
    folder = "./tests/old"
  }
  expect_failures = [aws_ssm_document.this]
}
