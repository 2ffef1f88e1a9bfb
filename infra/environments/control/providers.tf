provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

# Where the copies of the state go. Without a second region nothing is created by it.
provider "aws" {
  alias  = "replica"
  region = coalesce(local.replica_region, var.region)

  default_tags {
    tags = local.tags
  }
}
