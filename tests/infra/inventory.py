"""Everything that an account holds, asked of the API kind by kind: what a destroy has left behind is found here."""

from collections.abc import Iterable, Mapping
from typing import Any

import jmespath

from tests.infra.cloud import Account
from tests.infra.terraform import REGION

Row = tuple[str, str, Mapping[str, Any], str]

IN_A_REGION: tuple[Row, ...] = (
    ("ec2", "describe_instances", {}, "Reservations[].Instances[?State.Name!='terminated'].InstanceId[]"),
    ("ec2", "describe_vpcs", {}, "Vpcs[].VpcId"),
    ("ec2", "describe_subnets", {}, "Subnets[].SubnetId"),
    ("ec2", "describe_internet_gateways", {}, "InternetGateways[].InternetGatewayId"),
    ("ec2", "describe_nat_gateways", {}, "NatGateways[?State!='deleted'].NatGatewayId"),
    ("ec2", "describe_addresses", {}, "Addresses[].AllocationId"),
    ("ec2", "describe_route_tables", {}, "RouteTables[].RouteTableId"),
    ("ec2", "describe_security_groups", {}, "SecurityGroups[].GroupId"),
    ("ec2", "describe_vpc_endpoints", {}, "VpcEndpoints[?State!='deleted'].VpcEndpointId"),
    ("ec2", "describe_flow_logs", {}, "FlowLogs[].FlowLogId"),
    # One in use counts with its instance; moto says it of the image's own volume after that instance's end, too.
    ("ec2", "describe_volumes", {}, "Volumes[?State!='in-use'].VolumeId"),
    ("ec2", "describe_snapshots", {"OwnerIds": ["self"]}, "Snapshots[].SnapshotId"),
    ("ec2", "describe_images", {"Owners": ["self"]}, "Images[].ImageId"),
    ("ec2", "describe_launch_templates", {}, "LaunchTemplates[].LaunchTemplateId"),
    ("ec2", "describe_key_pairs", {}, "KeyPairs[].KeyName"),
    ("autoscaling", "describe_auto_scaling_groups", {}, "AutoScalingGroups[].AutoScalingGroupName"),
    ("elbv2", "describe_load_balancers", {}, "LoadBalancers[].LoadBalancerName"),
    ("elbv2", "describe_target_groups", {}, "TargetGroups[].TargetGroupName"),
    ("ecr", "describe_repositories", {}, "repositories[].repositoryName"),
    ("ssm", "describe_parameters", {}, "Parameters[].Name"),
    ("ssm", "list_documents", {"Filters": [{"Key": "Owner", "Values": ["Self"]}]}, "DocumentIdentifiers[].Name"),
    ("secretsmanager", "list_secrets", {}, "SecretList[].Name"),
    ("logs", "describe_log_groups", {}, "logGroups[].logGroupName"),
    ("sns", "list_topics", {}, "Topics[].TopicArn"),
    ("sns", "list_subscriptions", {}, "Subscriptions[].SubscriptionArn"),
    ("cloudwatch", "describe_alarms", {}, "MetricAlarms[].AlarmName"),
    ("cloudwatch", "list_dashboards", {}, "DashboardEntries[].DashboardName"),
    ("kms", "list_aliases", {}, "Aliases[?!starts_with(AliasName, 'alias/aws/')].AliasName"),
    ("dynamodb", "list_tables", {}, "TableNames[]"),
    ("events", "list_rules", {}, "Rules[].Name"),
    ("sqs", "list_queues", {}, "QueueUrls[]"),
    ("cloudtrail", "describe_trails", {}, "trailList[].Name"),
    ("guardduty", "list_detectors", {}, "DetectorIds[]"),
    ("config", "describe_configuration_recorders", {}, "ConfigurationRecorders[].name"),
    ("wafv2", "list_web_acls", {"Scope": "REGIONAL"}, "WebACLs[].Name"),
    ("backup", "list_backup_vaults", {}, "BackupVaultList[].BackupVaultName"),
    ("backup", "list_backup_plans", {}, "BackupPlansList[].BackupPlanName"),
    ("scheduler", "list_schedules", {}, "Schedules[].Name"),
    ("acm", "list_certificates", {}, "CertificateSummaryList[].CertificateArn"),
)
IN_AN_ACCOUNT: tuple[Row, ...] = (
    ("s3", "list_buckets", {}, "Buckets[].Name"),
    ("iam", "list_roles", {}, "Roles[?!starts_with(Path, '/aws-service-role/')].RoleName"),
    ("iam", "list_policies", {"Scope": "Local"}, "Policies[].PolicyName"),
    ("iam", "list_instance_profiles", {}, "InstanceProfiles[].InstanceProfileName"),
    ("iam", "list_users", {}, "Users[].UserName"),
    ("iam", "list_groups", {}, "Groups[].GroupName"),
    ("iam", "list_open_id_connect_providers", {}, "OpenIDConnectProviderList[].Arn"),
    ("route53", "list_hosted_zones", {}, "HostedZones[].Name"),
    ("route53", "list_health_checks", {}, "HealthChecks[].Id"),
)


IN_A_NETWORK: tuple[Row, ...] = (
    ("ec2", "describe_network_acls", {}, "NetworkAcls[].{name: NetworkAclId, vpc: VpcId}"),
    ("ec2", "describe_network_interfaces", {}, "NetworkInterfaces[].{name: NetworkInterfaceId, vpc: VpcId}"),
)
"""AWS deletes no network that holds one of these. moto does, and keeps them: they count while their network stands."""


def inventory(account: Account, regions: Iterable[str]) -> frozenset[str]:
    """`region service kind: name` of everything there is; keys that wait for their deletion count as gone."""
    found: set[str] = set()
    for region in regions:
        found |= {f"{region} {one}" for one in _listed(account, region, IN_A_REGION)}
        found |= {f"{region} {one}" for one in _within_networks(account, region)}
        found |= {f"{region} kms key: {key}" for key in _keys(account, region)}
    return frozenset(found | set(_listed(account, REGION, IN_AN_ACCOUNT)))


def _listed(account: Account, region: str, rows: Iterable[Row]) -> Iterable[str]:
    clients: dict[str, Any] = {}
    for service, call, given, path in rows:
        if service not in clients:
            clients[service] = account.client(service, region)
        names = jmespath.search(path, _whole(clients[service], call, given)) or []
        kind = call.partition("_")[2].replace("_", " ")
        yield from (f"{service} {kind}: {name}" for name in names)


def _whole(client: Any, call: str, given: Mapping[str, Any]) -> Any:
    if client.can_paginate(call):
        return client.get_paginator(call).paginate(**given).build_full_result()
    return getattr(client, call)(**given)


def _within_networks(account: Account, region: str) -> Iterable[str]:
    ec2 = account.client("ec2", region)
    standing = {vpc["VpcId"] for vpc in _whole(ec2, "describe_vpcs", {})["Vpcs"]}
    for _, call, given, path in IN_A_NETWORK:
        for one in jmespath.search(path, _whole(ec2, call, given)) or []:
            if one["vpc"] in standing:
                yield f"ec2 {call.partition('_')[2].replace('_', ' ')}: {one['name']}"


def _keys(account: Account, region: str) -> Iterable[str]:
    """The keys of our own; those of `alias/aws/...` are AWS's, and are made when something is first encrypted."""
    kms = account.client("kms", region)
    aliases = _whole(kms, "list_aliases", {})["Aliases"]
    of_aws = {one.get("TargetKeyId") for one in aliases if one["AliasName"].startswith("alias/aws/")}
    for key in _whole(kms, "list_keys", {})["Keys"]:
        about = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        if key["KeyId"] not in of_aws and about["KeyState"] != "PendingDeletion":
            yield about["KeyId"]
