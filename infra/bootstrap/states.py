"""The states in the bucket: who holds the lock of one, which versions it has, and putting an earlier one back.

    python states.py restore ENVIRONMENT REGION [--version ID]     (make -C infra state-restore)
    python states.py versions ENVIRONMENT REGION                   (make -C infra state-versions)
    python states.py holder ENVIRONMENT REGION                     (make -C infra unlock)

It reads `infra/backend.hcl`, needs boto3, and never looks at what the resources of a state hold. Exit codes: 0 done; 1
it could not be done, nothing was changed; 64 the command is not understood.
"""

import argparse
import getpass
import json
import re
import socket
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

INFRA = Path(__file__).resolve().parents[1]
BACKEND_FILE = INFRA / "backend.hcl"
BOOTSTRAP, BOOTSTRAP_KEY = "bootstrap", "bootstrap.tfstate"
ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{0,31}")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[1-9]")
BACKEND_LINE = re.compile(r'\s*(\w+)\s*=\s*"([^"]*)"\s*')
STATE_FORMAT = 4
"""The only format of a state since Terraform 0.12."""
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 30


class Trouble(Exception):
    """It cannot be done; the text is a sentence for whoever asked."""


class Misunderstood(Trouble):
    """The command itself is wrong."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the states are; what `infra/backend.hcl` says."""

    bucket: str
    region: str
    kms_key_id: str
    dynamodb_table: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a state; `current` is the one that Terraform reads."""

    id: str
    written_at: datetime
    size: int
    current: bool


@dataclass(frozen=True, slots=True)
class State:
    """As much of a state as tells it from others."""

    serial: int
    resources: int

    def __str__(self) -> str:
        return f"serial {self.serial}, {self.resources} resources"


def read_backend(file: Path = BACKEND_FILE) -> Backend:
    """What the file says.

    Raises:
        Trouble: there is none, or a line of it is missing.
    """
    if not file.is_file():
        raise Trouble(
            f"There is no {file}. Run `make -C infra bootstrap` first: it makes the bucket and writes the file."
        )
    lines = (BACKEND_LINE.fullmatch(line) for line in file.read_text(encoding="utf-8").splitlines())
    said = {found[1]: found[2] for found in lines if found}
    if missing := sorted({"bucket", "region", "kms_key_id"} - set(said)):
        raise Trouble(f"{file} does not say {', '.join(missing)}. `make -C infra bootstrap` writes it anew.")
    return Backend(said["bucket"], said["region"], said["kms_key_id"], said.get("dynamodb_table", ""))


def state_key(environment: str, region: str) -> str:
    """The object that holds an environment's state in a region; bootstrap's own has no region.

    Raises:
        Misunderstood: one of them does not have its form.
    """
    if not ENVIRONMENT.fullmatch(environment):
        raise Misunderstood(f"ENVIRONMENT must be the name of one, such as dev, and is {environment!r}.")
    if environment == BOOTSTRAP:
        return BOOTSTRAP_KEY
    if not REGION.fullmatch(region):
        raise Misunderstood(f"REGION must be an AWS region, such as eu-central-1, and is {region!r}.")
    return f"{region}/{environment}.tfstate"


def read_state(content: bytes) -> State | None:
    """The state that the bytes are; None: they are none."""
    try:
        found = json.loads(content)
        if found["version"] != STATE_FORMAT or not found["lineage"]:
            return None
        managed = (one for one in found["resources"] if one["mode"] == "managed")
        return State(int(found["serial"]), sum(len(one["instances"]) for one in managed))
    except (ValueError, KeyError, TypeError):
        return None


def client_of(service: str, region: str) -> Any:
    """A client of the SDK; keys and endpoint come from the environment, as for Terraform."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries={"total_max_attempts": 3})
    make: Any = boto3.session.Session(region_name=region).client
    return make(service, config=config)


class StateBucket:
    """The bucket of states, with Terraform's own locks."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._s3 = client_of("s3", backend.region)

    def states(self) -> list[str]:
        """The states that are there."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._backend.bucket)
        rows = (row["Key"] for page in pages for row in page.get("Contents", []))
        return sorted(str(key) for key in rows if key.endswith(".tfstate"))

    def versions(self, key: str) -> list[Version]:
        """Every version of a state, the newest first; none is current when it was deleted."""
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._backend.bucket, Prefix=key)
        rows = [row for page in pages for row in page.get("Versions", []) if row["Key"] == key]
        return [Version(str(r["VersionId"]), r["LastModified"], int(r["Size"]), bool(r["IsLatest"])) for r in rows]

    def content(self, key: str, version: str = "") -> bytes:
        chosen = {"VersionId": version} if version else {}
        answer = self._s3.get_object(Bucket=self._backend.bucket, Key=key, **chosen)
        content: bytes = answer["Body"].read()
        return content

    def holder(self, key: str) -> dict[str, Any] | None:
        """What the lock of a state says of who holds it; None: nobody does."""
        try:
            held: dict[str, Any] = json.loads(self.content(f"{key}.tflock"))
        except self._s3.exceptions.NoSuchKey:
            return None
        return held

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold the lock as Terraform does: made only if it is absent, and taken away at the end.

        Raises:
            Trouble: somebody has it.
        """
        from botocore.exceptions import ClientError

        lock = {
            "ID": str(uuid.uuid4()),
            "Operation": "restore",
            "Info": "",
            "Who": f"{getpass.getuser()}@{socket.gethostname()}",
            "Version": "",
            "Created": datetime.now(UTC).isoformat(),
            "Path": f"{self._backend.bucket}/{key}",
        }
        place = {"Bucket": self._backend.bucket, "Key": f"{key}.tflock"}
        try:
            self._s3.put_object(**place, Body=json.dumps(lock).encode(), IfNoneMatch="*", **self._encrypted())
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (409, 412):
                raise
            raise Trouble(
                f"{describe_holder(self.holder(key) or {})} Wait for it, or `make -C infra unlock`."
            ) from error
        try:
            yield
        finally:
            self._s3.delete_object(**place)

    def put_back(self, key: str, version: Version) -> None:
        """Make that version the current one, as a new version of its own: nothing is lost by it."""
        source = {"Bucket": self._backend.bucket, "Key": key, "VersionId": version.id}
        self._s3.copy_object(Bucket=self._backend.bucket, Key=key, CopySource=source, **self._encrypted())
        if self._backend.dynamodb_table:
            # The table keeps the hash of what Terraform wrote last, and would refuse everything else.
            entry = {"LockID": {"S": f"{self._backend.bucket}/{key}-md5"}}
            table = client_of("dynamodb", self._backend.region)
            table.delete_item(TableName=self._backend.dynamodb_table, Key=entry)

    def empty(self) -> None:
        """Delete every version of everything in the bucket, for ever.

        Raises:
            Trouble: some could not be deleted.
        """
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self._backend.bucket):
            rows = (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            gone = [{"Key": row["Key"], "VersionId": row["VersionId"]} for row in rows]
            if not gone:
                continue
            answer = self._s3.delete_objects(Bucket=self._backend.bucket, Delete={"Objects": gone, "Quiet": True})
            if errors := answer.get("Errors"):
                first = errors[0]
                raise Trouble(f"{len(errors)} objects stay in the bucket, {first['Key']} because of {first['Code']}.")

    def _encrypted(self) -> dict[str, str]:
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._backend.kms_key_id}


def describe_holder(held: dict[str, Any]) -> str:
    """A lock in a sentence."""
    who, what = held.get("Who", "somebody"), held.get("Operation", "something")
    since, lock = held.get("Created", "an unknown time"), held.get("ID", "unknown")
    return f"{who} holds the lock for {what} since {since} (LOCK_ID={lock})."


def choose(bucket: StateBucket, key: str, wanted: str) -> tuple[Version, State]:
    """The version to put back: the wanted one, else the newest before the current one that is a state.

    Raises:
        Trouble: there is none, or the wanted one is no state.
    """
    versions = bucket.versions(key)
    if not versions:
        raise Trouble(f"There never was a state {key} in this bucket.")
    if wanted:
        candidates = [one for one in versions if one.id == wanted]
        if not candidates:
            raise Trouble(f"{key} has no version {wanted}; `make -C infra state-versions` lists those that it has.")
    else:
        newest = next((at + 1 for at, one in enumerate(versions) if one.current), 0)
        candidates = versions[newest:]
    for version in candidates:
        if state := read_state(bucket.content(key, version.id)):
            return version, state
    raise Trouble(f"None of the {len(candidates)} versions of {key} that could be put back is a state.")


def restore(bucket: StateBucket, key: str, wanted: str) -> list[str]:
    """Put an earlier version back under the state's lock; the lines that say what was done."""
    with bucket.locked(key):
        version, state = choose(bucket, key, wanted)
        current = next((one for one in bucket.versions(key) if one.current), None)
        before = "none, it was deleted" if current is None else _described(bucket, key, current)
        bucket.put_back(key, version)
    return [
        f"{key} was: {before}",
        f"{key} is now: {_moment(version)} {version.id} ({state})",
        "What was changed in AWS since then is not in it: look at `make -C infra plan` before anything else.",
    ]


def _described(bucket: StateBucket, key: str, version: Version) -> str:
    state = read_state(bucket.content(key, version.id))
    return f"{_moment(version)} {version.id} ({state or f'{version.size} bytes that are no state'})"


def _moment(version: Version) -> str:
    return f"{version.written_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _list(bucket: StateBucket, key: str) -> list[str]:
    marks = {True: "*", False: " "}
    found = [f"{marks[one.current]} {_described(bucket, key, one)}" for one in bucket.versions(key)]
    return found or [f"There never was a state {key} in this bucket."]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    acts = parser.add_subparsers(dest="act", required=True)
    for name, does in (
        ("restore", "put the version before the current one back, under the state's lock"),
        ("versions", "list the versions of a state, * is the current one"),
        ("holder", "say who holds the lock of a state"),
    ):
        act = acts.add_parser(name, help=does, description=does)
        act.add_argument("environment", metavar="ENVIRONMENT", help="control, dev, prod, or bootstrap")
        act.add_argument("region", metavar="REGION", help="the region of that environment, such as eu-central-1")
        act.add_argument("--backend", type=Path, default=BACKEND_FILE, help="another file than infra/backend.hcl")
        if name == "restore":
            act.add_argument("--version", default="", help="this version, not the newest good one before the current")
    return parser


def _lines(given: argparse.Namespace) -> list[str]:
    key = state_key(given.environment, given.region)
    bucket = StateBucket(read_backend(given.backend))
    if given.act == "restore":
        return restore(bucket, key, given.version)
    if given.act == "versions":
        return _list(bucket, key)
    held = bucket.holder(key)
    return [f"Nobody holds the lock of {key}." if held is None else describe_holder(held)]


def said(error: Exception) -> str:
    """An error of the SDK as a sentence."""
    return f"AWS did not do it: {type(error).__name__}: {error}"


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
