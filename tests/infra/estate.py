"""The whole estate in one empty account, in the order of a first set-up: bootstrap, control, the image, dev, prod.

Every part is made once, by whichever test asks for it first, and shared by all. What only waits for AWS's own fixed
times (a bucket's lifecycle settles for a minute, so does a load balancer) is begun early and looked at later.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.cloud import ACCOUNT_ID, Account
from tests.infra.inventory import inventory
from tests.infra.terraform import REGION, Beside, Run, Stack, Started, copy_infra, environment

SECOND_REGION = "eu-west-1"
STATE_BUCKET = f"quarterdeck-state-{ACCOUNT_ID}"
IMAGE_PARAMETER = "/quarterdeck/host/ami"
SECRET = "the-tide-turns-at-four"
MAKE_S, LOCK_S = 240.0, 60.0
SLOW_S = 8.0
"""Long enough for a second apply to meet the lock of the first, also on a busy machine."""

CONTROL: Mapping[str, Any] = {
    "github_repository": "example/quarterdeck",
    "github_owner_id": "1234567",
    "github_repository_id": "987654321",
    "team_trusted_arns": [f"arn:aws:iam::{ACCOUNT_ID}:user/ada"],
    "further_regions": [SECOND_REGION],
    "replica_region": SECOND_REGION,
    "force_destroy": True,
}
IN_SECOND_REGION: Mapping[str, Any] = {"account_wide": False}
DEV: Mapping[str, Any] = {
    "alarm_emails": ["ops@example.org"],
    "run_bot": True,
    "secrets": {"greeting": {"service": "app", "name": "GREETING", "description": "What the app says"}},
    "secret_values": {"greeting": SECRET},
    "detailed_monitoring": True,
    # moto has no Data Lifecycle Manager; infra/modules/backup is tested with a mocked provider.
    "enable_snapshots": False,
}
PROD: Mapping[str, Any] = {
    "alarm_emails": ["ops@example.org"],
    "deletion_protection": False,
    "enable_snapshots": False,
    "watched": True,
}


@dataclass(frozen=True, slots=True)
class Made:
    """One command of the Makefile, ended."""

    code: int
    text: str
    seconds: float

    def ok(self) -> "Made":
        assert self.code == 0, f"make ended with {self.code}:\n{self.text[-4000:]}"
        return self


@dataclass(frozen=True, slots=True)
class Making:
    """One command of the Makefile, while it runs."""

    beside: Beside

    def end(self) -> Made:
        out, err, seconds = self.beside.wait(MAKE_S)
        return Made(self.beside.process.returncode, f"{out}{err}", seconds)


@dataclass(frozen=True, slots=True)
class Applied:
    """An environment that stands: where it is planned from, and what its apply said."""

    stack: Stack
    run: Run


class Estate:
    """One account and a copy of `infra/`. `close` ends whatever still runs."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.account = Account(work / "moto")
        self.infra = copy_infra(work)
        self.environ: dict[str, str] = {}
        self.empty: frozenset[str] = frozenset()
        self._bootstrapping: Making | None = None
        self._bootstrapped: Made | None = None
        self._running: list[subprocess.Popen[bytes]] = []

    def open(self) -> None:
        """Start the account, note what every account has, and begin to make the bucket of states."""
        self.account.open()
        self.environ = environment(self.work, self.account.url)
        self.empty = self.holdings()
        self._bootstrapping = self.making("bootstrap", f"REGION={REGION}", "YES=1")

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.account.close()

    def holdings(self) -> frozenset[str]:
        """Everything that is in the account."""
        return inventory(self.account, (REGION, SECOND_REGION))

    def bootstrapped(self) -> Made:
        """What the first `make -C infra bootstrap` said; waits for its end."""
        assert self._bootstrapping is not None
        if self._bootstrapped is None:
            self._bootstrapped = self._bootstrapping.end()
        return self._bootstrapped

    # -- commands ---------------------------------------------------------------------------------------------------

    def making(self, *arguments: str, **environ: str) -> Making:
        """Begin `make -C infra ARGUMENTS`, as a person would type it."""
        argv = ("make", "--no-print-directory", "-C", str(self.infra), *arguments, f"PYTHON={sys.executable}")
        beside = Beside.start(argv, directory=self.infra, environ={**self.environ, **environ})
        self._running.append(beside.process)
        return Making(beside)

    def make(self, *arguments: str, **environ: str) -> Made:
        return self.making(*arguments, **environ).end()

    def backend(self) -> dict[str, str]:
        """What `infra/backend.hcl` says."""
        lines = (line.partition("=") for line in (self.infra / "backend.hcl").read_text().splitlines())
        return {name.strip(): value.strip().strip('"') for name, _, value in lines}

    def write_variables(self, root: str, variables: Mapping[str, Any]) -> None:
        """Give a root its terraform.tfvars.json, as a person gives it a terraform.tfvars."""
        (self.infra / "environments" / root / "terraform.tfvars.json").write_text(json.dumps(variables))

    def stack(self, root: str, region: str = REGION, **variables: Any) -> Stack:
        """A root in a region, initialised: its state is in the bucket, under the key that the Makefile gives it."""
        folder = self.infra / "environments" / root
        # The same folder that infra/stack uses, so that both may be mixed.
        environ = {**self.environ, "TF_DATA_DIR": str(folder / ".terraform" / region)}
        stack = Stack(folder, environ, {"region": region, **variables})
        stack.init("-backend-config=../../backend.hcl", f"-backend-config=key={state_key(root, region)}")
        return stack

    def begin_apply(self, stack: Stack) -> Started:
        return self._begin("apply", stack)

    def begin_destroy(self, stack: Stack) -> Started:
        return self._begin("destroy", stack)

    def _begin(self, verb: str, stack: Stack) -> Started:
        started = stack.start(verb, "-json", "-input=false", "-auto-approve", *stack.given())
        self._running.append(started.beside.process)
        return started

    # -- states -----------------------------------------------------------------------------------------------------

    def kept_state(self, key: str) -> dict[str, Any]:
        """The state as it lies in the bucket."""
        answer = self.account.client("s3").get_object(Bucket=STATE_BUCKET, Key=key)
        found: dict[str, Any] = json.loads(answer["Body"].read())
        return found

    def addresses(self, root: str, region: str = REGION) -> list[str]:
        """The managed resources that a root's state knows, as `terraform state list` prints them."""
        managed = (one for one in self.kept_state(state_key(root, region))["resources"] if one["mode"] == "managed")
        return sorted(_address(one, instance.get("index_key")) for one in managed for instance in one["instances"])

    def state_text(self, key: str) -> str:
        """Every version of a state that the bucket keeps, one after the other."""
        s3 = self.account.client("s3")
        versions = s3.list_object_versions(Bucket=STATE_BUCKET, Prefix=key)["Versions"]
        found = [
            s3.get_object(Bucket=STATE_BUCKET, Key=key, VersionId=one["VersionId"])
            for one in versions
            if one["Key"] == key
        ]
        return "\n".join(one["Body"].read().decode() for one in found)

    def damage_state(self, key: str) -> None:
        """Cut a state in the middle, as a writer that died would."""
        s3 = self.account.client("s3")
        whole = s3.get_object(Bucket=STATE_BUCKET, Key=key)["Body"].read()
        s3.put_object(Bucket=STATE_BUCKET, Key=key, Body=whole[: len(whole) // 2])

    @contextmanager
    def slow_state(self, root: str) -> Iterator[None]:
        """Whoever reads the root's state waits; the lock, which is taken before, does not."""
        fault = self.account.slow(match=rf"GET .*/{re.escape(state_key(root))}(\?|$)", seconds=SLOW_S)
        try:
            yield
        finally:
            self.account.quick(fault)

    def wait_for_lock(self, root: str) -> dict[str, Any]:
        """The lock of a root, as soon as somebody holds it."""
        s3 = self.account.client("s3")
        deadline = time.monotonic() + LOCK_S
        while time.monotonic() < deadline:
            try:
                found: dict[str, Any] = self.kept_state(f"{state_key(root)}.tflock")
                return found
            except s3.exceptions.ClientError:
                time.sleep(0.1)
        raise AssertionError(f"nobody took the lock of {root} in {LOCK_S:.0f} s")

    # -- what Terraform does not make ----------------------------------------------------------------------------------

    def publish_image(self, region: str = REGION) -> str:
        """What the build of the image leaves: a machine image, and its id in the parameter that dev and prod read."""
        disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3"}}
        image = self.account.client("ec2", region).register_image(
            Name="quarterdeck-host",
            Architecture="x86_64",
            VirtualizationType="hvm",
            RootDeviceName="/dev/sda1",
            BlockDeviceMappings=[disk],
        )["ImageId"]
        kept = {"Name": IMAGE_PARAMETER, "Type": "String", "Value": image, "Overwrite": True}
        self.account.client("ssm", region).put_parameter(**kept)
        return str(image)

    def take_away_the_rest(self) -> None:
        """Remove what the methods here made, and no configuration knows."""
        for region in (REGION, SECOND_REGION):
            ec2, ssm = self.account.client("ec2", region), self.account.client("ssm", region)
            ec2.deregister_image(ImageId=ssm.get_parameter(Name=IMAGE_PARAMETER)["Parameter"]["Value"])
            ssm.delete_parameter(Name=IMAGE_PARAMETER)
            for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
                ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
        acm, route53 = self.account.client("acm"), self.account.client("route53")
        for certificate in acm.list_certificates()["CertificateSummaryList"]:
            acm.delete_certificate(CertificateArn=certificate["CertificateArn"])
        for zone in route53.list_hosted_zones()["HostedZones"]:
            route53.delete_hosted_zone(Id=zone["Id"])

    def instance(self, instance_id: str) -> dict[str, Any]:
        """What EC2 says of one instance."""
        answer = self.account.client("ec2").describe_instances(InstanceIds=[instance_id])
        found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return found

    def certificate(self) -> str:
        """A certificate for the load balancer; whoever owns the domain orders it before."""
        acm = self.account.client("acm")
        return str(acm.request_certificate(DomainName="app.example.org", ValidationMethod="DNS")["CertificateArn"])

    def failover(self) -> dict[str, str]:
        """A zone for the domain; whoever owns the domain has it before."""
        made = self.account.client("route53").create_hosted_zone(Name="example.org", CallerReference="first")
        return {"zone_id": made["HostedZone"]["Id"].rpartition("/")[2], "domain": "app.example.org"}


def state_key(root: str, region: str = REGION) -> str:
    return f"{region}/{root}.tfstate"


def _address(resource: Mapping[str, Any], key: str | int | None) -> str:
    name = f"{resource['type']}.{resource['name']}"
    within = f"{resource['module']}.{name}" if "module" in resource else name
    return within if key is None else f"{within}[{json.dumps(key)}]"
