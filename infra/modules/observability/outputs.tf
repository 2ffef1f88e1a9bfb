output "log_group_names" {
  description = "The log group of app, bot and host."
  value       = { for name, group in aws_cloudwatch_log_group.this : name => group.name }
}

output "log_group_arns" {
  description = "The ARN of each log group, for the policies of those who write and read them."
  value       = { for name, group in aws_cloudwatch_log_group.this : name => group.arn }
}

output "topic_arn" {
  description = "The topic that alarms go to; subscribe whatever else should hear them."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard_name" {
  description = "The dashboard in CloudWatch."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "alarm_names" {
  description = "The alarms."
  value = toset(concat(
    [for one in aws_cloudwatch_metric_alarm.status : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.cpu : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.memory : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.disk : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.fleet_cpu : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.fleet_memory : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.unhealthy_hosts : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.no_healthy_host : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.service_errors : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.load_balancer_errors : one.alarm_name],
    [for one in aws_cloudwatch_metric_alarm.bot : one.alarm_name],
  ))
}
