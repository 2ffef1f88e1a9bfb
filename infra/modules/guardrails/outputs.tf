output "enabled" {
  description = "Which guardrails stand: cloudtrail, guardduty, config, budget, waf."
  value = {
    cloudtrail = var.cloudtrail
    guardduty  = var.guardduty
    config     = var.config
    budget     = var.monthly_budget_usd != null
    waf        = var.waf
  }
}

output "records_bucket_name" {
  description = "Bucket with the trail's and AWS Config's files; null when neither is on."
  value       = one(aws_s3_bucket.records[*].bucket)
}

output "trail_arn" {
  description = "ARN of the trail; null when it is off."
  value       = one(aws_cloudtrail.account[*].arn)
}

output "web_acl_arn" {
  description = "ARN of the web ACL; null when it is off."
  value       = one(aws_wafv2_web_acl.load_balancer[*].arn)
}
