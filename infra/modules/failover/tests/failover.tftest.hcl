mock_provider "aws" {}

variables {
  name    = "quarterdeck-prod"
  zone_id = "Z0123456789ABCDEFGHIJ"
  domain  = "app.example.org"
  primary = {
    dns_name = "quarterdeck-prod-1.eu-central-1.elb.amazonaws.com"
    zone_id  = "Z215JYRZR1TBD5"
  }
}

run "off_creates_nothing" {
  assert {
    condition     = length(aws_route53_health_check.primary) + length(aws_route53_record.primary) + length(aws_route53_record.secondary) == 0 && output.fqdn == null
    error_message = "A record or health check was made although failover is off."
  }
}

run "a_primary_alone_is_watched" {
  variables {
    enabled = true
  }
  assert {
    condition     = length(aws_route53_record.secondary) == 0 && aws_route53_record.primary[0].failover_routing_policy[0].type == "PRIMARY"
    error_message = "There is a secondary although none was given."
  }
  assert {
    condition     = aws_route53_health_check.primary[0].type == "HTTPS" && aws_route53_health_check.primary[0].resource_path == "/health" && aws_route53_health_check.primary[0].port == 443
    error_message = "The health check must ask /health by TLS."
  }
  assert {
    condition     = aws_route53_health_check.primary[0].fqdn == var.primary.dns_name
    error_message = "The health check must ask the primary itself: asked by the domain, the secondary would answer for it."
  }
}

run "the_secondary_takes_over" {
  variables {
    enabled = true
    secondary = {
      dns_name = "quarterdeck-prod-2.eu-west-1.elb.amazonaws.com"
      zone_id  = "Z32O12XQLNTSW2"
    }
  }
  assert {
    condition     = aws_route53_record.secondary[0].failover_routing_policy[0].type == "SECONDARY" && aws_route53_record.secondary[0].alias[0].evaluate_target_health
    error_message = "The secondary must be a failover record that looks at its target."
  }
  assert {
    condition     = aws_route53_record.primary[0].name == aws_route53_record.secondary[0].name && aws_route53_record.primary[0].health_check_id == aws_route53_health_check.primary[0].id
    error_message = "Both records must be of one name, and the primary's must have the health check."
  }
}

run "on_without_what_it_serves_is_refused" {
  command = plan
  variables {
    enabled = true
    zone_id = null
    domain  = null
    primary = null
  }
  expect_failures = [var.zone_id, var.domain, var.primary]
}

run "bad_values_are_refused" {
  command = plan
  variables {
    name     = "Quarterdeck"
    zone_id  = "example.org"
    domain   = "https://app.example.org"
    failures = 0
    primary = {
      dns_name    = "quarterdeck-prod-1.eu-central-1.elb.amazonaws.com"
      zone_id     = "Z215JYRZR1TBD5"
      health_path = "health"
    }
  }
  expect_failures = [var.name, var.zone_id, var.domain, var.failures, var.primary]
}
