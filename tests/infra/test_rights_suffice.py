"""The other side of least privilege: what dev and prod hold, the apply role can make, change and take away again.

The roles come from the state of control as it was applied, the resources and their ARNs from those of dev and prod.
"""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.infra import terraform
from tests.infra.iam_simulator import Context, Request
from tests.infra.identities import documents, resources
from tests.infra.rights import IN_BOUNDARY, OUR_TAG

terraform.need()

ACTIONS_ON = {
    "aws_autoscaling_group": (
        "autoscaling:CreateAutoScalingGroup UpdateAutoScalingGroup DeleteAutoScalingGroup CreateOrUpdateTags "
        "PutScalingPolicy DeletePolicy StartInstanceRefresh EnableMetricsCollection AttachLoadBalancerTargetGroups "
        "DetachLoadBalancerTargetGroups"
    ),
    "aws_cloudwatch_dashboard": "cloudwatch:PutDashboard DeleteDashboards",
    "aws_cloudwatch_log_group": "logs:CreateLogGroup PutRetentionPolicy DeleteLogGroup TagResource UntagResource",
    "aws_cloudwatch_metric_alarm": "cloudwatch:PutMetricAlarm DeleteAlarms TagResource UntagResource",
    "aws_eip": "ec2:AllocateAddress AssociateAddress DisassociateAddress ReleaseAddress",
    "aws_iam_instance_profile": (
        "iam:CreateInstanceProfile AddRoleToInstanceProfile RemoveRoleFromInstanceProfile "
        "DeleteInstanceProfile TagInstanceProfile"
    ),
    "aws_iam_role": "iam:CreateRole PutRolePolicy DeleteRolePolicy UpdateAssumeRolePolicy DeleteRole TagRole",
    "aws_instance": (
        "ec2:RunInstances ModifyInstanceAttribute MonitorInstances StopInstances StartInstances TerminateInstances"
    ),
    "aws_internet_gateway": (
        "ec2:CreateInternetGateway AttachInternetGateway DetachInternetGateway DeleteInternetGateway"
    ),
    "aws_launch_template": (
        "ec2:CreateLaunchTemplate CreateLaunchTemplateVersion ModifyLaunchTemplate DeleteLaunchTemplate"
    ),
    "aws_lb": (
        "elasticloadbalancing:CreateLoadBalancer ModifyLoadBalancerAttributes SetSecurityGroups "
        "DeleteLoadBalancer AddTags"
    ),
    "aws_lb_listener": "elasticloadbalancing:CreateListener ModifyListener DeleteListener AddTags",
    "aws_lb_target_group": (
        "elasticloadbalancing:CreateTargetGroup ModifyTargetGroup ModifyTargetGroupAttributes DeleteTargetGroup AddTags"
    ),
    "aws_route53_health_check": "route53:UpdateHealthCheck DeleteHealthCheck ChangeTagsForResource",
    "aws_route_table": "ec2:CreateRouteTable CreateRoute DeleteRoute DeleteRouteTable",
    "aws_security_group": (
        "ec2:CreateSecurityGroup AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress "
        "RevokeSecurityGroupIngress RevokeSecurityGroupEgress DeleteSecurityGroup"
    ),
    "aws_sns_topic": "sns:CreateTopic SetTopicAttributes Subscribe DeleteTopic TagResource",
    "aws_ssm_parameter": "ssm:PutParameter DeleteParameter AddTagsToResource RemoveTagsFromResource",
    "aws_subnet": "ec2:CreateSubnet ModifySubnetAttribute DeleteSubnet",
    "aws_vpc": "ec2:CreateVpc ModifyVpcAttribute DeleteVpc",
    "aws_vpc_endpoint": "ec2:CreateVpcEndpoint ModifyVpcEndpoint DeleteVpcEndpoints",
    "aws_wafv2_web_acl": (
        "wafv2:CreateWebACL UpdateWebACL DeleteWebACL AssociateWebACL DisassociateWebACL "
        "PutLoggingConfiguration DeleteLoggingConfiguration TagResource"
    ),
}
"""For each kind of resource that has an ARN: the actions that make, change and delete it."""
TAGGED = {kind for kind, actions in ACTIONS_ON.items() if actions.startswith("ec2:")}
WITHOUT_ARN = {
    "aws_default_security_group": "ec2:RevokeSecurityGroupIngress RevokeSecurityGroupEgress CreateTags",
    "aws_flow_log": "ec2:CreateFlowLogs DeleteFlowLogs",
    "aws_nat_gateway": "ec2:CreateNatGateway DeleteNatGateway",
    "aws_sns_topic_subscription": "sns:SetSubscriptionAttributes Unsubscribe",
    "aws_wafv2_web_acl_logging_configuration": "logs:CreateLogDelivery DeleteLogDelivery PutResourcePolicy",
}
PART_OF_ANOTHER = {
    "aws_autoscaling_policy",
    "aws_eip_association",
    "aws_iam_role_policy",
    "aws_route",
    "aws_route_table_association",
    "aws_sns_topic_policy",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
    "aws_wafv2_web_acl_association",
}
A_PERSONS_TASK = {"aws_route53_record"}
"""Names change by hand unless hosted_zone_ids lists the zone (README of the module identity)."""

LOOK = ("plan", "-input=false", "-refresh-only", "-lock=false", "-no-color")
RECORD = re.compile(r"^(?=\d{4}-\d\d-\d\dT)", re.MULTILINE)
METHOD, SERVICE = re.compile(r"rpc\.method=(\w+)"), re.compile(r'rpc\.service=("[^"]+"|\S+)')
PREFIX_OF = {
    "Auto Scaling": "autoscaling",
    "Backup": "backup",
    "CloudTrail": "cloudtrail",
    "CloudWatch": "cloudwatch",
    "CloudWatch Logs": "logs",
    "Config Service": "config",
    "EC2": "ec2",
    "ECR": "ecr",
    "Elastic Load Balancing v2": "elasticloadbalancing",
    "GuardDuty": "guardduty",
    "IAM": "iam",
    "KMS": "kms",
    "Route 53": "route53",
    "S3": "s3",
    "SNS": "sns",
    "SSM": "ssm",
    "STS": "sts",
    "WAFV2": "wafv2",
}
NAMED_OTHERWISE = {
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
}
"""Calls of S3 whose right has another name (Service Authorization Reference, Amazon S3, 2026)."""


@pytest.fixture(scope="module")
def holdings(dev, prod) -> list[Mapping[str, Any]]:
    return [one for applied in (dev, prod) for one in resources(applied.stack.show()["values"]["root_module"])]


def needed(holdings: list[Mapping[str, Any]]) -> Iterator[tuple[str, Request]]:
    for one in holdings:
        kind, values = one["type"], one["values"]
        arn = values.get("dashboard_arn") or values.get("arn") or "*"
        context: Context = OUR_TAG if kind in TAGGED else IN_BOUNDARY if kind == "aws_iam_role" else {}
        for action in spelt(ACTIONS_ON.get(kind, "")):
            yield one["address"], Request(action, arn, context)
        for action in spelt(WITHOUT_ARN.get(kind, "")):
            yield one["address"], Request(action, "*", OUR_TAG)


def spelt(actions: str) -> list[str]:
    """`ec2:CreateVpc DeleteVpc` in full."""
    service, _, names = actions.partition(":")
    return [f"{service}:{name}" for name in names.split()]


def test_every_kind_of_resource_has_its_rights_named(holdings):
    named = {*ACTIONS_ON, *WITHOUT_ARN, *PART_OF_ANOTHER, *A_PERSONS_TASK}
    assert {one["type"] for one in holdings} - named == set()


def test_apply_may_make_change_and_delete_all_that_the_environments_hold(control, holdings):
    apply = documents(control.stack.show())["apply"].principal()
    asked = list(needed(holdings))
    refused = [
        f"{address}: {request.action} on {request.resource}"
        for address, request in asked
        if not apply.may(request).allowed
    ]
    assert len(asked) > 100
    assert refused == []


def test_plan_may_every_call_that_the_provider_makes_to_look(control, dev, prod, stopwatch, tmp_path):
    """Read from the provider's own log, so that a new resource that asks for more is noticed here first."""
    looks = [(applied.stack, tmp_path / f"{at}.log") for at, applied in enumerate((control, dev, prod))]
    with stopwatch.step("what a plan asks of AWS"):
        begun = [
            stack.start(*LOOK, *stack.given(), TF_LOG_PROVIDER="DEBUG", TF_LOG_PATH=str(log)) for stack, log in looks
        ]
        for one in begun:
            one.end().ok(2)
    asked = {action for _, log in looks for action in calls_in(log.read_text())}
    granted = documents(control.stack.show())["plan"].granted()
    assert {"ec2:DescribeVpcs", "iam:GetRole", "s3:ListBucket", "ssm:DescribeDocument"} <= asked
    assert sorted(one for one in asked if not any(fnmatch.fnmatchcase(one, pattern) for pattern in granted)) == []


def calls_in(log: str) -> Iterator[str]:
    """The rights that the calls of one log need. A record may go over several lines, its fields stand in any order."""
    for record in RECORD.split(log):
        if "HTTP Request Sent" not in record:
            continue
        method, service = METHOD.search(record), SERVICE.search(record)
        assert method and service, record
        prefix = PREFIX_OF[service[1].strip('"')]
        action = f"{prefix}:{method[1]}"
        if action != "sts:GetCallerIdentity":  # needs no right
            yield NAMED_OTHERWISE.get(action, action)


def test_what_apply_may_delete_by_its_tag_alone_carries_the_tag(holdings):
    untagged = [
        one["address"]
        for one in holdings
        if one["type"] in TAGGED and (one["values"].get("tags_all") or {}).get("Project") != "quarterdeck"
    ]
    assert untagged == []


def test_hosts_are_tagged_as_the_bot_looks_for_them(holdings):
    hosts = [one["values"]["tags_all"] for one in holdings if one["type"] == "aws_instance"]
    assert hosts
    assert all((tags["Project"], tags["Environment"]) == ("quarterdeck", "dev") for tags in hosts)


def test_every_role_of_an_environment_carries_the_boundary_and_the_name_that_apply_demands(holdings):
    roles = [one["values"] for one in holdings if one["type"] == "aws_iam_role"]
    assert roles
    assert {role["permissions_boundary"] for role in roles} == {IN_BOUNDARY["iam:PermissionsBoundary"]}
    assert [
        role["name"] for role in roles if not role["name"].startswith(("quarterdeck-dev-", "quarterdeck-prod-"))
    ] == []
