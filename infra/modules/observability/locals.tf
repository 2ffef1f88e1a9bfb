locals {
  logs      = toset(["app", "bot"])
  region    = data.aws_region.current.name
  partition = data.aws_partition.current.partition
  account   = data.aws_caller_identity.current.account_id

  fleet         = var.watch_fleet ? { fleet = var.autoscaling_group_name } : {}
  load_balancer = var.watch_load_balancer ? toset(["load-balancer"]) : toset([])
  bot           = var.watch_bot ? toset(["bot"]) : toset([])
}
