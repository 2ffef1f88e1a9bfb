# Each policy keeps one average at its target. The one that wants more hosts wins; fewer come only when both agree.

resource "aws_autoscaling_policy" "cpu" {
  name                   = "${var.name}-cpu"
  autoscaling_group_name = aws_autoscaling_group.this.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.cpu_target_percent

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

# EC2 does not know how much memory is used: the hosts report it themselves, every minute, under their group's name.
resource "aws_autoscaling_policy" "memory" {
  name                   = "${var.name}-memory"
  autoscaling_group_name = aws_autoscaling_group.this.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.memory_target_percent

    customized_metric_specification {
      namespace   = "Quarterdeck/Host"
      metric_name = "MemoryUsedPercent"
      statistic   = "Average"
      unit        = "Percent"

      metric_dimension {
        name  = "AutoScalingGroupName"
        value = aws_autoscaling_group.this.name
      }
    }
  }
}
