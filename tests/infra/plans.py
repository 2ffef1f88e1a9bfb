"""What a plan would really change, and the differences that only moto makes: each with its reason, no other passes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.infra.terraform import Run, Stack, differences

SAVED = "looked-at.tfplan"


@dataclass(frozen=True, slots=True)
class Noise:
    """A difference that moto shows after an apply and AWS does not. Both patterns must match from end to end."""

    address: str
    attribute: str
    reason: str

    def explains(self, address: str, attribute: str) -> bool:
        return bool(re.fullmatch(self.address, address) and re.fullmatch(self.attribute, attribute))


NOISE: Mapping[str, Sequence[Noise]] = {
    "control": (
        Noise(
            r"module\.backup\.aws_s3_bucket_replication_configuration\.state\[0\]",
            r"rule\[0\]\.source_selection_criteria",
            "moto keeps a bucket's replication without the criteria that choose its objects",
        ),
    ),
    "dev": (),
    "prod": (
        Noise(
            r"module\.fleet\.aws_launch_template\.this",
            r"tag_specifications.*|default_version|latest_version",
            "moto gives the template's own tags back as tags of what is launched",
        ),
        Noise(
            r"module\.fleet\.aws_autoscaling_group\.this",
            r"default_instance_warmup|launch_template.*",
            "moto forgets the warm-up; the template's version follows from the line before",
        ),
        Noise(
            r"module\.fleet\.aws_autoscaling_policy\.(cpu|memory)",
            r"enabled|predictive_scaling_configuration.*",
            "moto says of each policy that it is switched off and predictive, whatever was written",
        ),
        Noise(
            r"module\.fleet\.aws_vpc_security_group_(egress_rule\.load_balancer|ingress_rule\.hosts|\w+_rule\.watched\[.+\])",
            r"description",
            "moto forgets the description of a rule that names another group",
        ),
    ),
}
"""By root. An entry that explains nothing any more fails the test, too."""

BY_MOCKS: Mapping[str, str] = {
    "backup: aws_dlm_lifecycle_policy.daily": "moto has no Data Lifecycle Manager",
    "backup: aws_iam_role.snapshots": "belongs to the policy above",
    "backup: aws_iam_role_policy_attachment.snapshots": "belongs to the policy above",
    "guardrails: aws_budgets_budget.month": "moto makes a budget and cannot read it back",
}
"""What moto cannot do, and why; these are only in the modules' own tests, with a mocked provider."""

LEFT_OFF: Mapping[str, str] = {
    "failover: aws_route53_record.secondary": "there is no second prod to fail over to",
    "host: aws_vpc_security_group_ingress_rule.monitoring": "monitoring is reached through Session Manager",
    "host: aws_vpc_security_group_ingress_rule.ssh": "people reach the host through Session Manager",
    "observability: aws_sns_topic_subscription.pagerduty": "there is no PagerDuty that would confirm it",
}
"""What moto could do and this estate goes without; in the modules' own tests, too."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One plan, looked at: its run, and the attributes that would change, by address and action."""

    run: Run
    changes: Mapping[tuple[str, str], Sequence[str]]

    def unexplained(self, root: str) -> dict[str, list[str]]:
        """The changes that no entry of `NOISE` explains."""
        found: dict[str, list[str]] = {}
        for (address, action), attributes in self.changes.items():
            left = [one for one in attributes if not any(n.explains(address, one) for n in NOISE[root])]
            if left or action != "update":
                found[f"{address} ({action})"] = left
        return found

    def idle(self, root: str) -> list[Noise]:
        """The entries of `NOISE` that explain nothing in this plan."""
        seen = [(address, one) for (address, _), attributes in self.changes.items() for one in attributes]
        return [n for n in NOISE[root] if not any(n.explains(*one) for one in seen)]


def look(stack: Stack, *arguments: str, **variables: Any) -> Looked:
    """Plan, and compare before and after of every resource."""
    run = stack.plan(*arguments, out=SAVED, **variables).ok(2)
    if run.code == 0:
        return Looked(run, {})
    changes = {}
    for resource in stack.show(SAVED).get("resource_changes", []):
        change = resource["change"]
        if change["actions"] not in (["no-op"], ["read"]):
            changes[resource["address"], "+".join(change["actions"])] = list(_attributes(change))
    return Looked(run, changes)


def _attributes(change: Mapping[str, Any]) -> Iterator[str]:
    """The attributes that differ, and those that are known only after the apply."""
    found = {*differences(change["before"] or {}, change["after"] or {}), *_unknown(change["after_unknown"] or {}, "")}
    yield from sorted(found)


def _unknown(told: Any, path: str) -> Iterator[str]:
    """The paths at which a plan says `true`: known after the apply."""
    if isinstance(told, dict):
        for name, value in told.items():
            yield from _unknown(value, f"{path}.{name}" if path else name)
    elif isinstance(told, list):
        for at, value in enumerate(told):
            yield from _unknown(value, f"{path}[{at}]")
    elif told is True:
        yield path
