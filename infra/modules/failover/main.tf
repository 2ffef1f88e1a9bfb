# Route 53 asks the primary itself and not the domain: else it would ask the secondary once that serves, find it
# healthy and switch back to a primary that is still down.
resource "aws_route53_health_check" "primary" {
  count = var.enabled ? 1 : 0

  type              = "HTTPS"
  fqdn              = var.primary.dns_name
  port              = 443
  resource_path     = var.primary.health_path
  request_interval  = 10
  failure_threshold = var.failures
  measure_latency   = false
  # The load balancer's certificate is for the domain, so the name is not checked; SNI is sent as the load balancer's.
  enable_sni = true

  tags = { Name = "${var.name}-primary" }
}

resource "aws_route53_record" "primary" {
  count = var.enabled ? 1 : 0

  zone_id         = var.zone_id
  name            = var.domain
  type            = "A"
  set_identifier  = "primary"
  health_check_id = aws_route53_health_check.primary[0].id

  failover_routing_policy {
    type = "PRIMARY"
  }

  alias {
    name                   = var.primary.dns_name
    zone_id                = var.primary.zone_id
    evaluate_target_health = true
  }
}

resource "aws_route53_record" "secondary" {
  count = var.enabled && var.secondary != null ? 1 : 0

  zone_id        = var.zone_id
  name           = var.domain
  type           = "A"
  set_identifier = "secondary"

  failover_routing_policy {
    type = "SECONDARY"
  }

  alias {
    name                   = var.secondary.dns_name
    zone_id                = var.secondary.zone_id
    evaluate_target_health = true
  }
}
