"""Makes the bucket of states, adopts one that is there already, and takes everything away again.

    python bootstrap.py create REGION [--bucket NAME] [--[no-]lock-table] [--yes]      (make -C infra bootstrap)
    python bootstrap.py remove REGION --confirm BUCKET [--bucket NAME]                 (make -C infra unbootstrap)

`create` may be run at any time and as often as one likes. Bootstrap's own state lives in the bucket, as
`bootstrap.tfstate`. The first run keeps it on disk and moves it there at its end; when that failed half-way it waits in
`infra/bootstrap/bootstrap.tfstate` for the next run. When it is nowhere, what exists is found by name and adopted.
Terraform runs in a temporary copy of this folder.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from states import (
    BACKEND_FILE,
    BOOTSTRAP_KEY,
    REGION,
    Backend,
    Misunderstood,
    StateBucket,
    Trouble,
    client_of,
    read_backend,
    read_state,
    said,
)

HERE = Path(__file__).resolve().parent
UNFINISHED = HERE / "bootstrap.tfstate"
LOCAL = "terraform.tfstate"
BACKEND = 'terraform {\n  backend "s3" {\n    use_lockfile = true\n    encrypt      = true\n  }\n}\n'
WAY_BACK = """resource "aws_s3_bucket" "state" {
  lifecycle {
    prevent_destroy = false
  }
}

resource "aws_kms_key" "state" {
  lifecycle {
    prevent_destroy = false
  }
}
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    region: str
    bucket: str = ""
    lock_table: bool | None = None
    """None: as it is."""
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What is there already. `kms_key_id` is empty when there is no such key; `kept` is bootstrap's own state."""

    account: str
    bucket: str
    has_bucket: bool
    kms_key_id: str = ""
    kms_key_arn: str = ""
    has_table: bool = False
    wants_table: bool = False
    kept: bool = False

    @property
    def adoption(self) -> dict[str, str]:
        """The root's variable `adopt`. What its state already has is no harm: such an import does nothing."""
        adopted = {"bucket": self.bucket} if self.has_bucket else {}
        if self.kms_key_id:
            adopted |= {"kms_key_id": self.kms_key_id, "kms_alias": f"alias/{self.bucket}"}
        return adopted | ({"lock_table": f"{self.bucket}-locks"} if self.has_table and self.wants_table else {})


def look(wish: Wish) -> Found:
    """Ask AWS what is there.

    Raises:
        Trouble: the bucket is not ours, lies elsewhere, or its key is about to be deleted.
    """
    account = str(client_of("sts", wish.region).get_caller_identity()["Account"])
    bucket = wish.bucket or f"quarterdeck-state-{account}"
    key_id, key_arn = _key(bucket, wish.region)
    has_bucket = _has_bucket(bucket, account, wish.region)
    has_table = _has_table(f"{bucket}-locks", wish.region)
    return Found(
        account=account,
        bucket=bucket,
        has_bucket=has_bucket,
        kms_key_id=key_id,
        kms_key_arn=key_arn,
        has_table=has_table,
        wants_table=has_table if wish.lock_table is None else wish.lock_table,
        kept=has_bucket and _keeps_state(bucket, wish.region),
    )


def _has_bucket(bucket: str, account: str, region: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        answer = client_of("s3", region).head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return False
        if status == 403:
            raise Trouble(
                f"The bucket {bucket} exists and is not yours, or you may not look at it. Use the credentials of an "
                f"administrator of account {account}, or another name: make -C infra bootstrap BUCKET=..."
            ) from error
        raise
    lies_in = str(answer.get("BucketRegion") or region)
    if lies_in != region:
        raise Trouble(f"The bucket {bucket} lies in {lies_in}: say REGION={lies_in}. States of any region live in it.")
    return True


def _key(bucket: str, region: str) -> tuple[str, str]:
    kms = client_of("kms", region)
    try:
        key = kms.describe_key(KeyId=f"alias/{bucket}")["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        return "", ""
    if key["KeyState"] == "PendingDeletion":
        raise Trouble(
            f"The key of the states is about to be deleted, and with it every state. Stop that first: aws kms "
            f"cancel-key-deletion --key-id {key['KeyId']} --region {region}, then enable-key in the same way."
        )
    return str(key["KeyId"]), str(key["Arn"])


def _has_table(table: str, region: str) -> bool:
    dynamodb = client_of("dynamodb", region)
    try:
        dynamodb.describe_table(TableName=table)
    except dynamodb.exceptions.ResourceNotFoundException:
        return False
    return True


def _keeps_state(bucket: str, region: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client_of("s3", region).head_object(Bucket=bucket, Key=BOOTSTRAP_KEY)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


@dataclass(frozen=True)
class Workplace:
    """The temporary copy in which Terraform runs."""

    folder: Path
    wish: Wish
    found: Found
    on_disk: bool
    """Whether the state is in this folder, not in the bucket. What an earlier run left on disk is newer."""
    environ: dict[str, str] = field(default_factory=lambda: {**os.environ, "TF_IN_AUTOMATION": "1"})

    def run(self, *argv: str) -> None:
        """Run Terraform; its output goes where ours goes.

        Raises:
            Trouble: it failed.
        """
        process = subprocess.Popen(("terraform", *argv), cwd=self.folder, env=self.environ)
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:  # the terminal has told Terraform, too: let it end well
                continue
        if code != 0:
            raise Trouble(f"terraform {argv[0]} failed; what is wrong stands above. Nothing is lost: run it again.")

    def output(self, name: str) -> str:
        argv = ("terraform", "output", "-no-color", "-raw", name)
        return subprocess.run(
            argv, cwd=self.folder, env=self.environ, check=True, capture_output=True, text=True
        ).stdout

    def open(self) -> None:
        """Initialise with the state where it is: in the unfinished file, in the bucket, or nowhere yet."""
        if not self.on_disk:
            self._use_bucket(self.found.kms_key_arn)
            return
        if UNFINISHED.is_file():
            shutil.copy(UNFINISHED, self.folder / LOCAL)
        self.run("init", "-input=false")

    def apply(self) -> None:
        asked = ("-auto-approve", "-input=false") if self.wish.yes else ()
        self.run("apply", *self._variables(), *asked)

    def destroy(self) -> None:
        self.run("destroy", *self._variables(adopting=False), "-auto-approve", "-input=false")

    def move_into_bucket(self) -> None:
        """Move a state on disk into the bucket, and forget the file."""
        if self.on_disk:
            self._use_bucket(self.output("kms_key_arn"), "-migrate-state", "-force-copy")
        UNFINISHED.unlink(missing_ok=True)

    def move_onto_disk(self) -> None:
        """Move the state out of the bucket that is to go, and keep it for the next run should this one fail."""
        if not self.on_disk:
            (self.folder / "backend.tf").unlink()
            self.run("init", "-input=false", "-migrate-state", "-force-copy")
        self.keep_unfinished()

    def keep_unfinished(self) -> None:
        """Save the state on disk, if there is one, for the next run."""
        file = self.folder / LOCAL
        if file.is_file() and (state := read_state(file.read_bytes())) and state.resources:
            shutil.copy(file, UNFINISHED)
        elif file.is_file():
            UNFINISHED.unlink(missing_ok=True)

    def _use_bucket(self, kms_key_arn: str, *arguments: str) -> None:
        (self.folder / "backend.tf").write_text(BACKEND)
        where = {"bucket": self.found.bucket, "key": BOOTSTRAP_KEY, "region": self.wish.region}
        where |= {"kms_key_id": kms_key_arn} if kms_key_arn else {}
        self.run("init", "-input=false", *(f"-backend-config={k}={v}" for k, v in where.items()), *arguments)

    def _variables(self, *, adopting: bool = True) -> tuple[str, ...]:
        given: dict[str, Any] = {"region": self.wish.region, "lock_table": self.found.wants_table}
        given |= {"bucket_name": self.found.bucket}
        given |= {"adopt": self.found.adoption} if adopting else {}
        return tuple(f"-var={k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in given.items())


@contextmanager
def workplace(wish: Wish, found: Found) -> Iterator[Workplace]:
    """A copy of this folder's configuration; what is left of a state on disk at the end is kept."""
    with tempfile.TemporaryDirectory(prefix="quarterdeck-bootstrap-") as made:
        folder = Path(made)
        for file in (*HERE.glob("*.tf"), HERE / ".terraform.lock.hcl"):
            shutil.copy(file, folder)
        place = Workplace(folder, wish, found, on_disk=UNFINISHED.is_file() or not found.kept)
        try:
            place.open()
            yield place
        except BaseException:
            place.keep_unfinished()
            raise


def create(wish: Wish) -> list[str]:
    """Make or mend everything, and write `infra/backend.hcl`; the lines that say so."""
    if not wish.yes and not sys.stdin.isatty():
        raise Misunderstood("There is no terminal to ask on whether to go on: say YES=1 to agree beforehand.")
    found = look(wish)
    with workplace(wish, found) as place:
        place.apply()
        place.move_into_bucket()
        text = place.output("backend_config")
    fresh = BACKEND_FILE.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(BACKEND_FILE)
    origin = "adopted" if found.has_bucket and not found.kept else "looked after" if found.kept else "made"
    return [f"The bucket {found.bucket} was {origin}.", f"{BACKEND_FILE} says where states live."]


def remove(wish: Wish, confirm: str) -> list[str]:
    """Destroy the bucket with every version of every state, and give its key 30 days.

    Raises:
        Trouble: a state in it still has resources.
    """
    found = look(wish)
    if confirm != found.bucket:
        raise Misunderstood(f"This deletes every state for ever. If you mean it, say CONFIRM={found.bucket}")
    if not found.has_bucket and not UNFINISHED.is_file():
        raise Trouble(f"There is no bucket {found.bucket}: nothing to remove.")
    bucket = StateBucket(Backend(found.bucket, wish.region, found.kms_key_arn)) if found.has_bucket else None
    if bucket:
        _refuse_if_used(bucket)
    with workplace(wish, found) as place:
        (place.folder / "way_back_override.tf").write_text(WAY_BACK)
        if not found.kept and not UNFINISHED.is_file():
            place.apply()  # nothing knows what is there: adopt it
        place.move_onto_disk()
        if bucket:
            bucket.empty()  # while its key can still be used and its versions are still counted
        place.destroy()
    UNFINISHED.unlink(missing_ok=True)
    BACKEND_FILE.unlink(missing_ok=True)
    return [f"The bucket {found.bucket} is gone. Its key can be kept for 30 days more: aws kms cancel-key-deletion."]


def _refuse_if_used(bucket: StateBucket) -> None:
    for key in bucket.states():
        if key == BOOTSTRAP_KEY:
            continue
        state = read_state(bucket.content(key))
        if state is None or state.resources:
            what = "is damaged" if state is None else f"still has {state.resources} resources"
            raise Trouble(f"The state {key} {what}: destroy that environment first (make -C infra destroy).")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    acts = parser.add_subparsers(dest="act", required=True)
    making = acts.add_parser("create", help="make the bucket, or mend and adopt one that is there")
    removing = acts.add_parser("remove", help="destroy the bucket and every state in it")
    for act in (making, removing):
        act.add_argument("region", metavar="REGION", help="the bucket's region, such as eu-central-1")
        act.add_argument("--bucket", default="", help="another name than quarterdeck-state-<account>")
        act.add_argument(
            "--lock-table",
            action=argparse.BooleanOptionalAction,
            help="with a DynamoDB table, for Terraform before 1.10; without either: as it is",
        )
    making.add_argument("--yes", action="store_true", help="agree beforehand to what Terraform plans")
    removing.add_argument("--confirm", default="", metavar="BUCKET", help="the bucket's name, to show that you mean it")
    return parser


def _lines(given: argparse.Namespace) -> list[str]:
    region = given.region or (read_backend().region if BACKEND_FILE.is_file() else "")
    if not region:
        raise Misunderstood("REGION is missing: say REGION=eu-central-1, or set AWS_REGION.")
    if not REGION.fullmatch(region):
        raise Misunderstood(f"REGION must be an AWS region, such as eu-central-1, and is {region!r}.")
    if shutil.which("terraform") is None:
        raise Trouble("terraform is not on PATH; version 1.11 or newer is needed (developer.hashicorp.com/terraform).")
    if given.act == "create":
        return create(Wish(region, given.bucket, given.lock_table, given.yes))
    return remove(Wish(region, given.bucket, given.lock_table, yes=True), given.confirm)


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        sys.stderr.write(
            "infra: boto3 is missing; `make -C infra` brings it, or name a Python that has it: PYTHON=...\n"
        )
        return 1
    try:
        lines = _lines(given)
    except Trouble as error:
        sys.stderr.write(f"infra: {error}\n")
        return 64 if isinstance(error, Misunderstood) else 1
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"infra: {said(error)}\n")
        return 1
    sys.stdout.write("".join(f"infra: {line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
