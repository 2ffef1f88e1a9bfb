terraform {
  # Write-only arguments came with 1.11; an older Terraform would have to keep the values in its state.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.90"
    }
  }
}
