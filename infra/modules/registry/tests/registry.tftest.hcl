mock_provider "aws" {}

run "images_cannot_be_replaced_and_are_looked_at" {
  command = plan

  assert {
    condition     = keys(aws_ecr_repository.this) == ["app", "bot"]
    error_message = "The workflow and the bot know the repositories app and bot."
  }
  assert {
    condition     = alltrue([for one in aws_ecr_repository.this : one.image_tag_mutability == "IMMUTABLE"])
    error_message = "A tag names the same image for ever."
  }
  assert {
    condition     = alltrue([for one in aws_ecr_repository.this : one.image_scanning_configuration[0].scan_on_push])
    error_message = "Every image is scanned when it comes."
  }
  assert {
    condition     = alltrue([for one in aws_ecr_repository.this : one.encryption_configuration[0].encryption_type == "KMS"])
    error_message = "Images are encrypted."
  }
  assert {
    condition     = alltrue([for one in aws_ecr_repository.this : one.force_delete == false])
    error_message = "A repository with images is not destroyed by the way."
  }
  assert {
    condition = (
      [for rule in jsondecode(aws_ecr_lifecycle_policy.this["app"].policy).rules : rule.selection.countNumber] == [7, 30] &&
      [for rule in jsondecode(aws_ecr_lifecycle_policy.this["app"].policy).rules : rule.selection.tagStatus] == ["untagged", "tagged"]
    )
    error_message = "Untagged images go after 7 days, of the others 30 stay."
  }
}

run "other_names_and_numbers" {
  command = plan
  variables {
    repositories  = ["harbour/app", "harbour/bot-2"]
    keep_images   = 10
    untagged_days = 365
  }
}

run "no_repository_at_all" {
  command = plan
  variables {
    repositories = []
  }
  expect_failures = [var.repositories]
}

run "a_name_that_ECR_does_not_take" {
  command = plan
  variables {
    repositories = ["App"]
  }
  expect_failures = [var.repositories]
}

run "a_name_too_short" {
  command = plan
  variables {
    repositories = ["a"]
  }
  expect_failures = [var.repositories]
}

run "too_few_images_to_roll_back_to" {
  command = plan
  variables {
    keep_images = 9
  }
  expect_failures = [var.keep_images]
}

run "more_images_than_anybody_wants" {
  command = plan
  variables {
    keep_images = 1001
  }
  expect_failures = [var.keep_images]
}

run "no_days_at_all" {
  command = plan
  variables {
    untagged_days = 0
  }
  expect_failures = [var.untagged_days]
}

run "more_than_a_year" {
  command = plan
  variables {
    untagged_days = 366
  }
  expect_failures = [var.untagged_days]
}
