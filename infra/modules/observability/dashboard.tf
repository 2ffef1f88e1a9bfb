locals {
  hosts = [for name, id in var.instance_ids : { name = name, dimension = "InstanceId", id = id }]
  group = [for name, group in local.fleet : { name = name, dimension = "AutoScalingGroupName", id = group }]
  seen  = concat(local.hosts, local.group)

  # Title and the metrics of each picture; a picture without metrics is left out.
  pictures = [for picture in [
    {
      title   = "CPU, %"
      metrics = [for one in local.seen : ["AWS/EC2", "CPUUtilization", one.dimension, one.id, { label = one.name }]]
    },
    {
      title   = "Memory used, %"
      metrics = [for one in local.seen : ["Quarterdeck/Host", "MemoryUsedPercent", one.dimension, one.id, { label = one.name }]]
    },
    {
      title   = "Root disk used, %"
      metrics = [for one in local.seen : ["Quarterdeck/Host", "DiskUsedPercent", one.dimension, one.id, { label = one.name }]]
    },
    {
      title   = "AWS's checks that fail"
      metrics = [for one in local.hosts : ["AWS/EC2", "StatusCheckFailed", one.dimension, one.id, { label = one.name }]]
    },
    {
      title = "Requests and errors"
      metrics = [for metric in ["RequestCount", "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"] :
        ["AWS/ApplicationELB", metric, "LoadBalancer", var.load_balancer_arn_suffix, { stat = "Sum" }] if var.watch_load_balancer
      ]
    },
    {
      title   = "Time to answer, s"
      metrics = [for _ in local.load_balancer : ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.load_balancer_arn_suffix, { stat = "p95" }]]
    },
    {
      title   = "Heartbeats of the bot"
      metrics = [for _ in local.bot : ["Quarterdeck", "BotHeartbeat", "Environment", var.environment, { stat = "Sum" }]]
    },
  ] : picture if length(picture.metrics) > 0]

  alarms = concat(
    [for one in aws_cloudwatch_metric_alarm.status : one.arn],
    [for one in aws_cloudwatch_metric_alarm.cpu : one.arn],
    [for one in aws_cloudwatch_metric_alarm.memory : one.arn],
    [for one in aws_cloudwatch_metric_alarm.disk : one.arn],
    [for one in aws_cloudwatch_metric_alarm.fleet_cpu : one.arn],
    [for one in aws_cloudwatch_metric_alarm.fleet_memory : one.arn],
    [for one in aws_cloudwatch_metric_alarm.unhealthy_hosts : one.arn],
    [for one in aws_cloudwatch_metric_alarm.no_healthy_host : one.arn],
    [for one in aws_cloudwatch_metric_alarm.service_errors : one.arn],
    [for one in aws_cloudwatch_metric_alarm.load_balancer_errors : one.arn],
    [for one in aws_cloudwatch_metric_alarm.bot : one.arn],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = concat(
      [for _ in length(local.alarms) > 0 ? ["alarms"] : [] : {
        type       = "alarm"
        x          = 0
        y          = 0
        width      = 24
        height     = 3
        properties = { title = "Alarms", alarms = local.alarms }
      }],
      [for at, picture in local.pictures : {
        type   = "metric"
        x      = (at % 2) * 12
        y      = 3 + floor(at / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = picture.title
          region  = local.region
          view    = "timeSeries"
          stacked = false
          metrics = picture.metrics
        }
      }],
      [for at, log in sort(local.logs) : {
        type   = "log"
        x      = 0
        y      = 3 + ceil(length(local.pictures) / 2) * 6 + at * 6
        width  = 24
        height = 6
        properties = {
          title  = "Log of the ${log}"
          region = local.region
          view   = "table"
          query  = "SOURCE '${aws_cloudwatch_log_group.this[log].name}' | fields @timestamp, @message | sort @timestamp desc | limit 50"
        }
      }],
    )
  })
}
