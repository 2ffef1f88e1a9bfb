"""What starts a host comes after its way out and its rights: a host asks for its image as soon as it starts."""

import re
from pathlib import Path

import pytest

from tests.infra import terraform
from tests.infra.terraform import Stack

terraform.need()

EDGE = re.compile(r'^\s*"([^"]+)" -> "([^"]+)";$', re.MULTILINE)
LOCAL = 'terraform {\n  backend "local" {}\n}\n'
PUBLIC = {"module.network.aws_route.internet", "module.network.aws_route_table_association.public"}
PRIVATE = {
    "module.network.aws_route.nat",
    "module.network.aws_route_table_association.private",
    "module.network.aws_vpc_endpoint.interface",
    "module.network.aws_vpc_endpoint.s3",
    "module.network.aws_vpc_security_group_ingress_rule.endpoints",
}
RIGHTS = {"module.instance_role.aws_iam_role_policy.this"}


@pytest.fixture(scope="module")
def infra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return terraform.copy_infra(tmp_path_factory.mktemp("ways"))


def followed(edges: list[tuple[str, str]], begin: str) -> set[str]:
    """Everything that Terraform makes before it makes that resource."""
    found, left = set[str](), {begin}
    while left:
        left = {after for before, after in edges if before in left} - found
        found |= left
    return found


@pytest.mark.parametrize(
    ("root", "starts"),
    [
        ("dev", {"module.host.aws_instance.this": PUBLIC | RIGHTS}),
        ("prod", {"module.fleet.aws_autoscaling_group.this": PRIVATE | RIGHTS, "module.fleet.aws_lb.this": PUBLIC}),
    ],
    ids=["dev", "prod"],
)
def test_a_host_starts_when_its_way_out_and_its_rights_stand(infra, tmp_path, stopwatch, root, starts):
    directory = infra / "environments" / root
    (directory / "backend_override.tf").write_text(LOCAL)
    stack = Stack(directory, terraform.environment(tmp_path))
    stack.init()
    with stopwatch.step(f"{root}: what comes after what"):
        edges = EDGE.findall(stack.run("graph").ok().text)
    assert {what: before - followed(edges, what) for what, before in starts.items()} == {what: set() for what in starts}
