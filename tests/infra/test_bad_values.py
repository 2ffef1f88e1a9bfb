"""Values that cannot be meant fail when planning, each with a sentence that says what is wrong."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from tests.infra import terraform
from tests.infra.estate import CONTROL, DEV, IMAGE_PARAMETER, PROD, Estate
from tests.infra.terraform import ENVIRONMENTS, Stack, copy_infra, environment

terraform.need()

LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b"
STATE_KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a1b"
GOOD: Mapping[str, Mapping[str, Any]] = {
    "control": {**CONTROL, "state_bucket_name": "quarterdeck-state", "state_kms_key_arn": STATE_KEY},
    "dev": DEV,
    "prod": {**PROD, "certificate_arn": CERTIFICATE},
}
SSH_OF_ALL = {"cidrs": ["0.0.0.0/0"], "public_keys": {"ada": "ssh-ed25519 AAAA ada"}}
SSH_OF_NOBODY = {"cidrs": [], "public_keys": {"ada": "ssh-ed25519 AAAA ada"}}

CASES: tuple[tuple[str, str, Any, str], ...] = (
    ("dev", "region", "Frankfurt", "name of an AWS region"),
    ("dev", "vpc_cidr", "10.10.0.0/33", "must be an IPv4 network"),
    ("dev", "instance_type", "t4g.medium", "does not start on Graviton"),
    ("dev", "root_volume_gib", 8, "from 20 to 1024"),
    ("dev", "http_cidrs", [], "at least one IPv4 network"),
    ("dev", "monitoring_cidrs", ["0.0.0.0/0"], "is not allowed"),
    ("dev", "ssh", SSH_OF_ALL, "SSH from the whole internet"),
    ("dev", "ssh", SSH_OF_NOBODY, "ssh needs both cidrs"),
    ("dev", "log_retention_days", 0, "0, which keeps logs and their cost for ever, is not allowed"),
    ("dev", "alarm_emails", ["ops"], "must be e-mail addresses"),
    ("dev", "pagerduty_url", "http://example.org/x", "must begin with https://"),
    ("dev", "snapshot_keep_days", 0, "from 1 to 365"),
    ("prod", "vpc_cidr", "11.0.0.0/16", "belong to somebody on the internet"),
    ("prod", "instance_type", "t2.nano", "must be an x86-64 type of the families"),
    ("prod", "min_size", 5, "max_size must be a whole number and at least min_size"),
    ("prod", "az_count", 1, "must be 2 or 3"),
    ("prod", "log_retention_days", 0, "0, which keeps logs and their cost for ever, is not allowed"),
    ("prod", "certificate_arn", CERTIFICATE.replace("central", "west"), "cannot use another region's"),
    ("prod", "ingress_cidrs", ["everybody"], "must be at least one IPv4 network"),
    ("control", "region", "eu_central_1", "name of an AWS region"),
    ("control", "team_trusted_arns", [], "The team is empty"),
    ("control", "team_trusted_arns", ["arn:aws:iam::123456789012:root"], "a whole account"),
    ("control", "github_repository", "quarterdeck", "must be owner/name"),
    ("control", "environments", [], "must name at least one environment"),
    ("control", "monthly_budget_usd", 0, "must be more than 0"),
    ("control", "keep_images", 0, "at least 10"),
)

Round = dict[str, Any]


def rounds(root: str) -> list[Round]:
    """As few sets of bad values as hold all cases of a root: Terraform tells about every variable in one plan."""
    held: list[Round] = []
    for _, name, value, _ in (case for case in CASES if case[0] == root):
        free = next((one for one in held if name not in one), None)
        if free is None:
            held.append(free := {})
        free[name] = value
    return held


@pytest.fixture(scope="module")
def told(estate: Estate, tmp_path_factory: pytest.TempPathFactory, stopwatch: Any) -> Mapping[str, list[str]]:
    """What the plans of each root say about bad values; the account's first minute is waited out meanwhile."""
    work = tmp_path_factory.mktemp("bad-values")
    infra, environ = copy_infra(work), environment(work, estate.account.url)
    said: dict[str, list[str]] = defaultdict(list)
    for root in ENVIRONMENTS:
        folder = infra / "environments" / root
        (folder / "backend_override.tf").write_text(LOCAL_STATE)
        (folder / "terraform.tfvars.json").write_text(json.dumps(GOOD[root]))
        with stopwatch.step(f"{root}: bad values"):
            stack = Stack(folder, environ)
            stack.init()
            for values in rounds(root):
                run = stack.plan("-refresh=false", **values)
                assert run.code == 1
                said[root] += run.errors
    return said


@pytest.mark.parametrize(("root", "name", "value", "sentence"), CASES, ids=lambda value: str(value)[:30])
def test_a_bad_value_is_refused_when_planning_with_a_sentence(told, root, name, value, sentence):
    about = [error for error in told[root] if sentence in error]
    assert about, f"no sentence about {name} = {value!r}; there are: {told[root]}"


def test_nothing_but_the_values_is_complained_about(told):
    """Besides them only what an empty account cannot answer: dev and prod read what control has written."""
    for root, errors in told.items():
        others = [error for error in errors if not error.startswith("Invalid value for variable")]
        assert all(error.endswith("[data.aws_ssm_parameter.shared]") or IMAGE_PARAMETER in error for error in others), (
            f"{root}: {others}"
        )
