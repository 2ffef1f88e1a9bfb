"""The highly available environment: all of it that moto can do is applied, and a table says what only mocks do."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.infra import terraform
from tests.infra.plans import BY_MOCKS, LEFT_OFF, look
from tests.infra.terraform import ENVIRONMENTS, INFRA

terraform.need()

RESOURCE = re.compile(r'^resource "(aws_\w+)" "(\w+)"', re.MULTILINE)
KEY = re.compile(r'\[(\d+|"[^"]*")\]')


def written() -> Iterator[str]:
    """Every resource of a module or environment, as `folder: type.name`."""
    for folder in (*(INFRA / "modules").iterdir(), *(INFRA / "environments").iterdir()):
        for file in sorted(Path(folder).glob("*.tf")):
            for kind, name in RESOURCE.findall(file.read_text()):
                yield f"{folder.name}: {kind}.{name}"


def applied(root: str, addresses: list[str]) -> Iterator[str]:
    for address in addresses:
        *within, kind, name = KEY.sub("", address).split(".")
        yield f"{within[-1] if within else root}: {kind}.{name}"


def test_prod_stands_on_two_zones_behind_a_load_balancer_with_tls(estate, prod):
    group_name = prod.run.outputs["autoscaling_group_name"]
    autoscaling, elb = estate.account.client("autoscaling"), estate.account.client("elbv2")
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group_name])["AutoScalingGroups"]
    assert (group["MinSize"], group["MaxSize"], len(group["Instances"])) == (2, 4, 2)
    # Over which zones it spreads them is the group's own affair, and moto takes one.
    assert len(group["AvailabilityZones"]) == 2 and len(group["VPCZoneIdentifier"].split(",")) == 2
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert {one["Port"]: one["Protocol"] for one in listeners} == {80: "HTTP", 443: "HTTPS"}
    (policy,) = (one["SslPolicy"] for one in listeners if one["Port"] == 443)
    assert "TLS13" in policy
    (http,) = (one["DefaultActions"][0] for one in listeners if one["Port"] == 80)
    assert http["Type"] == "redirect"


def test_a_second_plan_of_prod_says_nothing_but_what_moto_is_known_for(prod, stopwatch):
    with stopwatch.step("prod: second plan"):
        looked = look(prod.stack)
    assert looked.unexplained("prod") == {} and looked.idle("prod") == []


def test_every_resource_is_applied_here_or_named_as_one_that_only_mocks_do(estate, control, dev, prod):
    stands = {one for root in ENVIRONMENTS for one in applied(root, estate.addresses(root))}
    assert set(written()) - stands == {*BY_MOCKS, *LEFT_OFF}


def test_what_only_mocks_do_is_tested_by_them(control):
    for resource in (*BY_MOCKS, *LEFT_OFF):
        module, _, name = resource.partition(": ")
        tests = "".join(file.read_text() for file in (INFRA / "modules" / module / "tests").glob("*.tftest.hcl"))
        assert name in tests, f"no test of infra/modules/{module} speaks of {name}"
