"""The `aws` command line of the stand-in: the calls that a host makes, with the real SDK over the real wire.

Credentials, region and endpoint come from `~/.aws` of the machine, as on any host. Usage errors end with 252 and
refused calls with 254, as the AWS CLI does.
"""

import argparse
import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.config
import botocore.exceptions
import botocore.session
import jmespath  # type: ignore[import-untyped]  # botocore brings it

OPERATIONS: Mapping[str, Mapping[str, str]] = {
    "ecr": {"get-login-password": ""},
    "ssm": {
        "get-parameters-by-path": "--path! --with-decryption? --recursive?",
        "get-parameter": "--name! --with-decryption?",
        "put-parameter": "--name! --value! --type --overwrite?",
    },
    "sts": {"get-caller-identity": ""},
    "s3": {"cp": "source target --no-progress? --only-show-errors?"},
    "s3api": {
        "put-object": "--bucket! --key! --body! --metadata --checksum-algorithm --checksum-sha256",
        "head-object": "--bucket! --key!",
        "get-object": "--bucket! --key! file",
        "list-objects-v2": "--bucket! --prefix",
    },
}
"""What it knows, and each call's own options (see `_add`)."""
SPELLED: Mapping[str, str] = {"checksum_sha256": "ChecksumSHA256"}


def main(argv: list[str]) -> int:
    """Run one command; prints its result."""
    try:
        given = _parser().parse_args(argv)
    except SystemExit as ended:
        return 252 if ended.code else 0
    try:
        sys.stdout.write(_run(given))
    except botocore.exceptions.ClientError as error:
        sys.stderr.write(f"\n{error}\n")
        return 254
    except botocore.exceptions.BotoCoreError as error:
        sys.stderr.write(f"\n{error}\n")
        return 253
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aws", description="The part of the AWS CLI that a host needs.")
    services = parser.add_subparsers(dest="service", required=True)
    for service, operations in OPERATIONS.items():
        names = services.add_parser(service).add_subparsers(dest="operation", required=True)
        for operation, options in operations.items():
            one = names.add_parser(operation, allow_abbrev=False)
            for option in options.split():
                _add(one, option)
            one.add_argument("--region")
            one.add_argument("--query")
            one.add_argument("--output", choices=("json", "text"), default="json")
    return parser


def _add(parser: argparse.ArgumentParser, option: str) -> None:
    """`--name!` must be given, `--name?` is a switch, `--name` takes a value, and `name` has its place."""
    name = option.rstrip("!?")
    if option.endswith("?"):
        parser.add_argument(name, action="store_true")
    elif option.startswith("--"):
        parser.add_argument(name, required=option.endswith("!"))
    else:
        parser.add_argument(name)


def _run(given: argparse.Namespace) -> str:
    if given.service == "ecr":
        data = _client("ecr", given.region).get_authorization_token()["authorizationData"][0]
        return base64.b64decode(data["authorizationToken"]).decode().partition(":")[2] + "\n"
    if given.service == "s3":
        return _copied(given)
    answer = _asked(given)
    answer.pop("ResponseMetadata", None)
    found = answer if given.query is None else jmespath.search(given.query, answer)
    if given.output == "text":
        return f"{'None' if found is None else found}\n"
    return json.dumps(found, indent=4, default=str) + "\n"


def _asked(given: argparse.Namespace) -> dict[str, Any]:
    """The answer to one call, all pages of it where it has pages."""
    client = _client({"s3api": "s3"}.get(given.service, given.service), given.region)
    known = ("service", "operation", "region", "query", "output", "file")
    arguments: dict[str, Any] = {
        _parameter(name): value
        for name, value in vars(given).items()
        if name not in known and value not in (None, False)
    }
    if given.operation == "get-parameters-by-path":
        pages = client.get_paginator("get_parameters_by_path").paginate(**arguments)
        return {"Parameters": [parameter for page in pages for parameter in page["Parameters"]]}
    if "Metadata" in arguments:
        arguments["Metadata"] = dict([arguments["Metadata"].split("=", 1)])
    if "Body" in arguments:
        arguments["Body"] = Path(arguments["Body"]).read_bytes()
    answer: dict[str, Any] = getattr(client, given.operation.replace("-", "_"))(**arguments)
    if given.operation == "get-object":
        Path(given.file).write_bytes(answer.pop("Body").read())
    return answer


def _parameter(name: str) -> str:
    """`checksum_sha256` is `ChecksumSHA256` on the wire, everything else just `CamelCase`."""
    return SPELLED.get(name, "".join(word.capitalize() for word in name.split("_")))


def _copied(given: argparse.Namespace) -> str:
    """`s3 cp s3://BUCKET/KEY FILE`."""
    address = urlsplit(given.source)
    found = _client("s3", given.region).get_object(Bucket=address.netloc, Key=address.path.lstrip("/"))
    Path(given.target).write_bytes(found["Body"].read())
    return ""


def _client(service: str, region: str | None) -> Any:
    config = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
    return botocore.session.Session().create_client(service, region_name=region, config=config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
