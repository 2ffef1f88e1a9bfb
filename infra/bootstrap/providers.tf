provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project   = "quarterdeck"
      ManagedBy = "infra/bootstrap"
    }
  }
}
