"""The bucket of states beside the usual way: it was there already, a state is damaged, and it is to go again."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.infra import terraform
from tests.infra.cloud import ACCOUNT_ID
from tests.infra.estate import MAKE_S, Estate, Made
from tests.infra.terraform import REGION, copy_infra

terraform.need()

BUCKET = "harbour-state"
KEY = f"{REGION}/dev.tfstate"
# The provider waits a minute for a lifecycle to settle; the estate's own bucket shows that it comes to be.
QUICK = 'resource "aws_s3_bucket_lifecycle_configuration" "state" {\n  count = 0\n}\n'
TAGS = {"Project": "quarterdeck", "ManagedBy": "infra/bootstrap"}
ACCOUNT = {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}
KEY_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Account", "Effect": "Allow", "Principal": ACCOUNT, "Action": "kms:*", "Resource": "*"}],
}
WHERE = ("ENVIRONMENT=dev", f"REGION={REGION}")


def state(serial: int, *names: str) -> bytes:
    """A state with these parameters in it."""
    rows = [
        {"mode": "managed", "type": "aws_ssm_parameter", "name": name, "provider": "p", "instances": [{}]}
        for name in names
    ]
    data = {"mode": "data", "type": "aws_region", "name": "current", "provider": "p", "instances": [{}]}
    found = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": serial,
        "lineage": "one",
        "resources": [*rows, data],
    }
    return json.dumps(found).encode()


def make(infra: Path, *arguments: str, environ: Mapping[str, str]) -> Made:
    """Type `make -C infra ARGUMENTS` in that copy of it."""
    argv = ("make", "--no-print-directory", "-C", str(infra), *arguments, f"PYTHON={sys.executable}")
    began = time.monotonic()
    done = subprocess.run(
        argv,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MAKE_S,
    )
    return Made(done.returncode, done.stdout, time.monotonic() - began)


def initialised(work: Path) -> Path:
    """A copy of `infra/` in which `init` of dev was done before."""
    infra = copy_infra(work)
    (infra / "backend.hcl").write_text('bucket = "b"\nregion = "eu-central-1"\nkms_key_id = "k"\n')
    data = infra / "environments" / "dev" / ".terraform" / REGION
    data.mkdir(parents=True)
    (data / "terraform.tfstate").write_text("{}")
    return infra


class Harbour:
    """An account's second bucket of states, with a copy of `infra/` of its own."""

    def __init__(self, estate: Estate, work: Path) -> None:
        self.estate = estate
        self.infra = copy_infra(work)
        (self.infra / "bootstrap" / "quick_override.tf").write_text(QUICK)
        self.s3, self.kms = estate.account.client("s3"), estate.account.client("kms")
        self.dynamodb = estate.account.client("dynamodb")

    def make(self, *arguments: str) -> Made:
        return make(self.infra, *arguments, environ=self.estate.environ)

    def keep(self, *contents: bytes) -> None:
        """Begin the state anew with these versions, the last is current."""
        for version in self.versions():
            self.s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=version)
        for content in contents:
            self.s3.put_object(Bucket=BUCKET, Key=KEY, Body=content)

    def versions(self) -> list[str]:
        """Every version of the state and every mark that it was deleted, the newest first."""
        found = self.s3.list_object_versions(Bucket=BUCKET, Prefix=KEY)
        rows = (*found.get("DeleteMarkers", ()), *found.get("Versions", ()))
        return [row["VersionId"] for row in rows if row["Key"] == KEY]

    def current(self) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
        return body


@pytest.fixture(scope="module")
def harbour(estate, tmp_path_factory):
    """A bucket by that name, made by hand; its key and the table of locks as bootstrap makes them; no state of them."""
    harbour = Harbour(estate, tmp_path_factory.mktemp("harbour"))
    harbour.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    made = {"Description": "Terraform's state of quarterdeck", "KeyUsage": "ENCRYPT_DECRYPT"}
    tags = [{"TagKey": name, "TagValue": value} for name, value in TAGS.items()]
    key = harbour.kms.create_key(Policy=json.dumps(KEY_POLICY), Tags=tags, **made)["KeyMetadata"]
    harbour.kms.create_alias(AliasName=f"alias/{BUCKET}", TargetKeyId=key["KeyId"])
    harbour.dynamodb.create_table(
        TableName=f"{BUCKET}-locks",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "LockID", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "LockID", "KeyType": "HASH"}],
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key["Arn"]},
        Tags=[{"Key": name, "Value": value} for name, value in TAGS.items()],
    )
    harbour.dynamodb.update_continuous_backups(
        TableName=f"{BUCKET}-locks", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    return harbour


@pytest.fixture(scope="module")
def adopted(harbour, stopwatch):
    with stopwatch.step("bootstrap: adopt a bucket that is there"):
        return harbour.make("bootstrap", f"REGION={REGION}", f"BUCKET={BUCKET}", "YES=1")


def test_what_is_there_is_adopted_and_set_right(harbour, adopted):
    assert f"The bucket {BUCKET} was adopted." in adopted.ok().text
    assert "4 imported" in adopted.text and "0 destroyed" in adopted.text
    assert harbour.s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    alias = harbour.kms.describe_key(KeyId=f"alias/{BUCKET}")["KeyMetadata"]
    assert harbour.kms.get_key_rotation_status(KeyId=alias["KeyId"])["KeyRotationEnabled"]
    backend = (harbour.infra / "backend.hcl").read_text()
    assert alias["Arn"] in backend and f'dynamodb_table = "{BUCKET}-locks"' in backend
    assert harbour.s3.head_object(Bucket=BUCKET, Key="bootstrap.tfstate")["SSEKMSKeyId"] == alias["Arn"]
    assert not (harbour.infra / "bootstrap" / "bootstrap.tfstate").exists()


def test_a_state_that_is_none_gives_way_to_the_newest_that_is_one(harbour, adopted):
    harbour.keep(state(1, "a"), state(2, "a", "b"), b"", b'{"version": 4')
    made = harbour.make("state-restore", *WHERE).ok()
    assert harbour.current() == state(2, "a", "b")
    assert "13 bytes that are no state" in made.text and "serial 2, 2 resources" in made.text
    assert len(harbour.versions()) == 5


def test_a_state_that_can_be_read_gives_way_to_the_one_before(harbour, adopted):
    harbour.keep(state(1, "a"), state(2, "a", "b"), state(3))
    harbour.make("state-restore", *WHERE).ok()
    assert harbour.current() == state(2, "a", "b")


def test_a_deleted_state_comes_back(harbour, adopted):
    harbour.keep(state(1, "a"), state(2, "a", "b"))
    harbour.s3.delete_object(Bucket=BUCKET, Key=KEY)
    made = harbour.make("state-restore", *WHERE).ok()
    assert harbour.current() == state(2, "a", "b") and "it was deleted" in made.text


def test_one_may_choose_the_version_and_sees_them_all(harbour, adopted):
    harbour.keep(state(1, "a"), state(2, "a", "b"), state(3))
    first = harbour.versions()[-1]
    harbour.make("state-restore", *WHERE, f"VERSION={first}").ok()
    assert harbour.current() == state(1, "a")
    listed = harbour.make("state-versions", *WHERE).ok().text.splitlines()
    assert [line.partition("(")[2] for line in listed] == [
        f"serial {serial}, {resources} resources)" for serial, resources in ((1, 1), (3, 0), (2, 2), (1, 1))
    ]
    assert [line.startswith("infra: *") for line in listed] == [True, False, False, False]


def test_the_current_version_can_be_written_once_more_so_that_s3_copies_it(harbour, adopted):
    harbour.keep(state(1, "a"))
    (only,) = harbour.versions()
    harbour.make("state-restore", *WHERE, f"VERSION={only}").ok()
    assert harbour.current() == state(1, "a") and len(harbour.versions()) == 2


def test_what_cannot_be_put_back_is_said_and_nothing_is_changed(harbour, adopted):
    harbour.keep(b"{}", b"nonsense")
    none = harbour.make("state-restore", *WHERE)
    unknown = harbour.make("state-restore", *WHERE, "VERSION=nobody")
    never = harbour.make("state-restore", "ENVIRONMENT=prod", f"REGION={REGION}")
    assert "None of the 1 versions" in none.text and "has no version nobody" in unknown.text
    assert f"There never was a state {REGION}/prod.tfstate" in never.text
    assert {none.code, unknown.code, never.code} == {2} and harbour.current() == b"nonsense"


def test_the_table_forgets_the_hash_of_the_state_that_went(harbour, adopted):
    harbour.keep(state(1, "a"), b"")
    entry = {"LockID": {"S": f"{BUCKET}/{KEY}-md5"}}
    harbour.dynamodb.put_item(TableName=f"{BUCKET}-locks", Item={**entry, "Digest": {"S": "0"}})
    harbour.make("state-restore", *WHERE).ok()
    assert "Item" not in harbour.dynamodb.get_item(TableName=f"{BUCKET}-locks", Key=entry)


def test_whoever_asks_is_told_who_holds_the_lock(harbour, adopted):
    harbour.keep(state(1, "a"), state(2))
    lock = {"ID": "1" * 8, "Who": "ada@laptop", "Operation": "OperationTypeApply", "Created": "2026-11-23T10:00:00Z"}
    harbour.s3.put_object(Bucket=BUCKET, Key=f"{KEY}.tflock", Body=json.dumps(lock).encode())
    asked, refused = harbour.make("unlock", *WHERE), harbour.make("state-restore", *WHERE)
    harbour.s3.delete_object(Bucket=BUCKET, Key=f"{KEY}.tflock")
    free = harbour.make("unlock", *WHERE)
    for made in (asked.ok(), refused):
        assert "ada@laptop holds the lock for OperationTypeApply since 2026-11-23T10:00:00Z" in made.text
    assert refused.code != 0 and harbour.current() == state(2)
    assert f"Nobody holds the lock of {KEY}." in free.ok().text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("plan",), "ENVIRONMENT is missing: say ENVIRONMENT=dev. There are: control dev prod"),
        (("plan", "ENVIRONMENT=staging", "REGION=eu-central-1"), "There is no environment 'staging'."),
        (("plan", "ENVIRONMENT=../dev", "REGION=eu-central-1"), "There is no environment '../dev'."),
        (("plan", "ENVIRONMENT=dev", "REGION="), "REGION is missing: say REGION=eu-central-1, or set AWS_REGION."),
        (
            ("plan", "ENVIRONMENT=dev", "REGION=$$(id)"),
            "REGION must be an AWS region, such as eu-central-1, and is '$(id)'.",
        ),
        (("plan", *WHERE), "Run this first, it makes the bucket of states: make -C infra bootstrap"),
        (("unlock", *WHERE, "LOCK_ID=x"), "Run this first"),
        (("state-restore", *WHERE), "Run `make -C infra bootstrap` first"),
        (
            ("state-restore", "ENVIRONMENT=dev", "REGION=here"),
            "REGION must be an AWS region, such as eu-central-1, and is 'here'.",
        ),
        (("bootstrap", "REGION=here", "YES=1"), "REGION must be an AWS region, such as eu-central-1, and is 'here'."),
        (("bootstrap", "REGION="), "REGION is missing: say REGION=eu-central-1, or set AWS_REGION."),
        (
            ("bootstrap", f"REGION={REGION}"),
            "There is no terminal to ask on whether to go on: say YES=1 to agree beforehand.",
        ),
    ],
)
def test_a_command_that_cannot_be_understood_is_answered_in_a_sentence(tmp_path, arguments, sentence):
    made = make(copy_infra(tmp_path), *arguments, environ=terraform.environment(tmp_path))
    assert made.code == 2 and sentence in made.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("apply",), "say YES=1 to agree beforehand, or PLAN=FILE for a plan that was looked at."),
        (("apply", "PLAN=nowhere"), "There is no plan 'nowhere'."),
        (("destroy",), "say CONFIRM=dev to agree beforehand."),
        (("destroy", "CONFIRM=prod"), "CONFIRM must be the environment that is to be destroyed, dev, and is 'prod'."),
        (("unlock", "LOCK_ID=$$(id)"), "LOCK_ID must be the id of the lock, as the refusal names it, and is '$(id)'."),
    ],
)
def test_nothing_is_changed_or_destroyed_without_a_word(tmp_path, arguments, sentence):
    infra = initialised(tmp_path)
    made = make(infra, *arguments, *WHERE, environ=terraform.environment(tmp_path))
    assert made.code == 2 and sentence in made.text


def test_an_init_that_fails_is_not_covered_by_an_earlier_one(tmp_path):
    infra = initialised(tmp_path)
    made = make(infra, "init", *WHERE, "ARGS=-of-no-such-name", environ=terraform.environment(tmp_path))
    assert made.code == 2 and "flag provided but not defined: -of-no-such-name" in made.text


def test_the_list_of_commands_names_each(tmp_path):
    infra = copy_infra(tmp_path)
    listed = make(infra, "help", environ=terraform.environment(tmp_path)).text
    targets = [line.partition(":")[0] for line in (infra / "Makefile").read_text().splitlines() if ": ## " in line]
    assert {"bootstrap", "state-restore"} < set(targets) and all(
        f"make -C infra {target} " in listed for target in targets
    )


def test_the_bucket_goes_only_when_it_is_named_and_nothing_needs_it(harbour, adopted, stopwatch):
    harbour.keep(state(1, "a"))
    ask = ("unbootstrap", f"REGION={REGION}", f"BUCKET={BUCKET}")
    unnamed, used = harbour.make(*ask), harbour.make(*ask, f"CONFIRM={BUCKET}")
    harbour.keep(b"nonsense")
    damaged = harbour.make(*ask, f"CONFIRM={BUCKET}")
    assert f"say CONFIRM={BUCKET}" in unnamed.text and f"{KEY} still has 1 resources" in used.text
    assert f"{KEY} is damaged" in damaged.text and harbour.current() == b"nonsense"
    harbour.keep(state(2))
    with stopwatch.step("bootstrap: the way back of the adopted bucket"):
        gone = harbour.make(*ask, f"CONFIRM={BUCKET}").ok()
    assert f"The bucket {BUCKET} is gone." in gone.text and not (harbour.infra / "backend.hcl").exists()
    assert BUCKET not in {one["Name"] for one in harbour.s3.list_buckets()["Buckets"]}
    assert f"alias/{BUCKET}" not in {one["AliasName"] for one in harbour.kms.list_aliases()["Aliases"]}
    again = harbour.make(*ask, f"CONFIRM={BUCKET}")
    assert again.code == 2 and f"There is no bucket {BUCKET}: nothing to remove." in again.text
