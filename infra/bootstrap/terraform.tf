terraform {
  required_version = ">= 1.10"

  # No backend on purpose: this root makes the bucket that everybody's state lives in. bootstrap.py runs it in a
  # temporary copy, with the local backend the first time and with the bucket as backend ever after.
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.90"
    }
  }
}
