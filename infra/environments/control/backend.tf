# The bucket, its region, its key and this root's key in it come from infra/backend.hcl and the command line
# (make -C infra init ENVIRONMENT=...).
terraform {
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
