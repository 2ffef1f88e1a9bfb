locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  bucket     = coalesce(var.bucket_name, "quarterdeck-state-${local.account_id}")
  alias      = "alias/${local.bucket}"
  table      = "${local.bucket}-locks"
}
