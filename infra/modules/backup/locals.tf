locals {
  replicated       = var.state_replication != null
  state_bucket_arn = local.replicated ? "arn:${data.aws_partition.current.partition}:s3:::${var.state_replication.bucket_name}" : null

  snapshot_policy_types = { snapshot = "EBS_SNAPSHOT_MANAGEMENT", image = "IMAGE_MANAGEMENT" }
  snapshot_policies = {
    snapshot = "AWSDataLifecycleManagerServiceRole"
    image    = "AWSDataLifecycleManagerServiceRoleForAMIManagement"
  }
}
