# Every alarm says so on the topic when it begins and when it is over. What AWS does not know of an instance (memory, disk,
# whether the bot answers) comes from infra/host/metrics each minute.

resource "aws_cloudwatch_metric_alarm" "status" {
  for_each = var.instance_ids

  alarm_name          = "${var.name}-${each.key}-status"
  alarm_description   = "AWS's own checks of the instance ${each.key} fail, or it tells nothing: it hangs, or it is gone."
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { InstanceId = each.value }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "cpu" {
  for_each = var.instance_ids

  alarm_name          = "${var.name}-${each.key}-cpu"
  alarm_description   = "The instance ${each.key} has been busy to ${var.cpu_percent} % for 15 minutes."
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  dimensions          = { InstanceId = each.value }
  statistic           = "Average"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.cpu_percent
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "memory" {
  for_each = var.instance_ids

  alarm_name          = "${var.name}-${each.key}-memory"
  alarm_description   = "The instance ${each.key} has used ${var.memory_percent} % of its memory for 10 minutes."
  namespace           = "Quarterdeck/Host"
  metric_name         = "MemoryUsedPercent"
  dimensions          = { InstanceId = each.value }
  statistic           = "Average"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.memory_percent
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "disk" {
  for_each = var.instance_ids

  alarm_name          = "${var.name}-${each.key}-disk"
  alarm_description   = "The root disk of ${each.key} is full to ${var.disk_percent} %: run the document quarterdeck-disk-clean."
  namespace           = "Quarterdeck/Host"
  metric_name         = "DiskUsedPercent"
  dimensions          = { InstanceId = each.value }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.disk_percent
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "fleet_cpu" {
  for_each = local.fleet

  alarm_name          = "${var.name}-fleet-cpu"
  alarm_description   = "The fleet has been busy to ${var.cpu_percent} % for 15 minutes: it is at its greatest size, or it does not grow."
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  dimensions          = { AutoScalingGroupName = each.value }
  statistic           = "Average"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.cpu_percent
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "fleet_memory" {
  for_each = local.fleet

  alarm_name          = "${var.name}-fleet-memory"
  alarm_description   = "The fleet has used ${var.memory_percent} % of its memory for 10 minutes."
  namespace           = "Quarterdeck/Host"
  metric_name         = "MemoryUsedPercent"
  dimensions          = { AutoScalingGroupName = each.value }
  statistic           = "Average"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.memory_percent
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "unhealthy_hosts" {
  for_each = local.load_balancer

  alarm_name          = "${var.name}-unhealthy-hosts"
  alarm_description   = "A host behind the load balancer has been unhealthy for 3 minutes."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "UnHealthyHostCount"
  dimensions          = { LoadBalancer = var.load_balancer_arn_suffix, TargetGroup = var.target_group_arn_suffix }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "no_healthy_host" {
  for_each = local.load_balancer

  alarm_name          = "${var.name}-no-healthy-host"
  alarm_description   = "No host behind the load balancer is healthy, or nothing is told of them: the service is down."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  dimensions          = { LoadBalancer = var.load_balancer_arn_suffix, TargetGroup = var.target_group_arn_suffix }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "service_errors" {
  for_each = local.load_balancer

  alarm_name          = "${var.name}-service-5xx"
  alarm_description   = "The service has answered 10 requests or more with 5xx in each of 2 minutes."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HTTPCode_Target_5XX_Count"
  dimensions          = { LoadBalancer = var.load_balancer_arn_suffix }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 10
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "load_balancer_errors" {
  for_each = local.load_balancer

  alarm_name          = "${var.name}-load-balancer-5xx"
  alarm_description   = "The load balancer itself has answered 10 requests or more with 5xx in each of 2 minutes: no host took them."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HTTPCode_ELB_5XX_Count"
  dimensions          = { LoadBalancer = var.load_balancer_arn_suffix }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 10
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# The bot cannot say in Discord that it is down. Its host sends a 1 each minute while the bot's health answers; silence
# is the alarm.
resource "aws_cloudwatch_metric_alarm" "bot" {
  for_each = local.bot

  alarm_name          = "${var.name}-bot-down"
  alarm_description   = "The bot has not been heard for 5 minutes: nobody can deploy or roll back from Discord. Its host, or the bot on it, is down."
  namespace           = "Quarterdeck"
  metric_name         = "BotHeartbeat"
  dimensions          = { Environment = var.environment }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
