output "oidc_provider_arn" {
  description = "GitHub's OIDC provider in this account, made here or given."
  value       = local.oidc_provider_arn
  depends_on  = [aws_iam_openid_connect_provider.github]
}

output "build_role_arn" {
  description = "The role of the build workflow: the repository variable AWS_BUILD_ROLE_ARN."
  value       = aws_iam_role.build.arn
}

output "bot_role_arn" {
  description = "The bot's role; give it to instance_role of the one host that the bot runs on."
  value       = aws_iam_role.bot.arn
}

output "plan_role_arn" {
  description = "The role that Terraform plans with."
  value       = aws_iam_role.plan.arn
}

output "apply_role_arn" {
  description = "The role that Terraform applies the environments with."
  value       = aws_iam_role.apply.arn
}

output "team_role_arn" {
  description = "The role that a person of the team takes, with a second factor for sessions and the state."
  value       = aws_iam_role.team.arn
}

output "workload_boundary_arn" {
  description = "The permissions boundary that every role of an environment must carry."
  value       = aws_iam_policy.workload_boundary.arn
}
