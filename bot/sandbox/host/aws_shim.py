"""The `aws` command line of the stand-in: the two calls that a host makes, with the real SDK over the real wire.

Credentials, region and endpoint come from `~/.aws` of the machine, as on any host. Usage errors end with 252 and
refused calls with 254, as the AWS CLI does.
"""

import argparse
import base64
import json
import sys
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.session


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
    ecr = services.add_parser("ecr").add_subparsers(dest="operation", required=True)
    login = ecr.add_parser("get-login-password")
    login.add_argument("--region")
    ssm = services.add_parser("ssm").add_subparsers(dest="operation", required=True)
    parameters = ssm.add_parser("get-parameters-by-path")
    parameters.add_argument("--region")
    parameters.add_argument("--path", required=True)
    parameters.add_argument("--with-decryption", action="store_true")
    parameters.add_argument("--recursive", action="store_true")
    parameters.add_argument("--output", choices=("json",), default="json")
    return parser


def _run(given: argparse.Namespace) -> str:
    if given.service == "ecr":
        data = _client("ecr", given.region).get_authorization_token()["authorizationData"][0]
        return base64.b64decode(data["authorizationToken"]).decode().partition(":")[2] + "\n"
    pages = (
        _client("ssm", given.region)
        .get_paginator("get_parameters_by_path")
        .paginate(Path=given.path, WithDecryption=given.with_decryption, Recursive=given.recursive)
    )
    found = [parameter for page in pages for parameter in page["Parameters"]]
    return json.dumps({"Parameters": found}, indent=4, default=str) + "\n"


def _client(service: str, region: str | None) -> Any:
    config = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
    return botocore.session.Session().create_client(service, region_name=region, config=config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
