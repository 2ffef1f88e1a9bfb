terraform {
  # 1.10 locks the state in S3; 1.11 has the write-only arguments that keep secrets out of it.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.90"
    }
  }
}
