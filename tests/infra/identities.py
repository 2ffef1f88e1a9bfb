"""The roles as Terraform really makes them: both modules planned by the real provider.

Every policy is known at plan, so that nothing has to be created to read them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.iam_simulator import Policy, Principal, Trust
from tests.infra.terraform import INFRA, REGION, Stack, copy_infra, environment

ACCOUNT = "123456789012"
IAM = f"arn:aws:iam::{ACCOUNT}"
OWNER, REPOSITORY, OWNER_ID, REPOSITORY_ID = "night-watch", "lighthouse", "424242", "777000777"
STATE_BUCKET, ARTIFACTS_BUCKET = "arn:aws:s3:::quarterdeck-state", "arn:aws:s3:::quarterdeck-artifacts"
STATE_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-4333-8444-555555555555"
ARTIFACTS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/66666666-7777-4888-8999-000000000000"
PROVIDER = f"{IAM}:oidc-provider/token.actions.githubusercontent.com"
ADA = f"{IAM}:user/ada"
DOCUMENTS = sorted(path.stem for path in (INFRA / "host" / "ssm").glob("*.yaml"))
REPOSITORIES = {name: f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}" for name in ("app", "bot")}
DOCUMENT_ARNS = {name: f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/{name}" for name in DOCUMENTS}

GIVEN = {
    "repository": f"{OWNER}/{REPOSITORY}",
    "owner_id": OWNER_ID,
    "repository_id": REPOSITORY_ID,
    "repository_arns": REPOSITORIES,
    "document_arns": DOCUMENT_ARNS,
    "artifacts_bucket": ARTIFACTS_BUCKET,
    "artifacts_key": ARTIFACTS_KEY,
    "state_bucket": STATE_BUCKET,
    "state_key": STATE_KEY,
    "person": ADA,
    "bot_role": f"{IAM}:role/quarterdeck-bot",
    "boundary": f"{IAM}:policy/quarterdeck-workload-boundary",
    "logs": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/quarterdeck",
}
ROOT = """
terraform {
  required_version = ">= 1.10"
}

provider "aws" {
  max_retries = 1
}

variable "given" {
  type = any
}

module "identity" {
  source = "../../modules/identity"

  github_repository     = var.given.repository
  github_owner_id       = var.given.owner_id
  github_repository_id  = var.given.repository_id
  repository_arns       = var.given.repository_arns
  document_arns         = var.given.document_arns
  environments          = ["dev", "prod"]
  artifacts_bucket_arn  = var.given.artifacts_bucket
  artifacts_kms_key_arn = var.given.artifacts_key
  state_bucket_arn      = var.given.state_bucket
  state_kms_key_arn     = var.given.state_key
  team_trusted_arns     = [var.given.person]
  hosted_zone_ids       = ["Z0123456789OWN"]
}

module "host" {
  source   = "../../modules/instance_role"
  for_each = { dev = var.given.bot_role, prod = null }

  name                     = "quarterdeck-${each.key}"
  environment              = each.key
  repository_arns          = var.given.repository_arns
  parameter_prefix         = "/quarterdeck/${each.key}"
  artifacts_bucket_arn     = var.given.artifacts_bucket
  artifacts_kms_key_arn    = var.given.artifacts_key
  log_group_arns           = { app = "${var.given.logs}/${each.key}/app" }
  bot_role_arn             = each.value
  watches                  = each.key == "prod"
  permissions_boundary_arn = var.given.boundary
}
"""


@dataclass(frozen=True, slots=True)
class Documents:
    """One role's policies as JSON, by name, as AWS would hold them."""

    arn: str
    trust: str
    inline: Mapping[str, str]
    attached: Mapping[str, str]
    boundary: tuple[str, str] | None

    def principal(self) -> Principal:
        """The role as one who asks."""
        policies = tuple(Policy.of(text) for text in (*self.inline.values(), *self.attached.values()))
        return Principal(self.arn, policies, Policy.of(self.boundary[1]) if self.boundary else None)

    def granted(self) -> frozenset[str]:
        """Every action, or pattern of actions, that some statement allows."""
        texts = (*self.inline.values(), *self.attached.values())
        allowing = (one for text in texts for one in Policy.of(text).statements if one.effect == "Allow")
        return frozenset(action for one in allowing for action in one.actions)

    def role(self) -> Trust:
        """The role as one that is asked for."""
        return Trust(self.arn, Policy.of(self.trust))


def plan_identities(work: Path, endpoint: str) -> dict[str, Any]:
    """The plan of a root with both modules, as data; the host of dev carries the bot, that of prod watches others."""
    directory = copy_infra(work) / "environments" / "identities"
    directory.mkdir(parents=True)
    (directory / "main.tf").write_text(ROOT)
    stack = Stack(directory, environment(work, endpoint), {"given": GIVEN})
    stack.init()
    stack.plan(out="tfplan").ok(2)
    return stack.show("tfplan")


def documents(shown: Mapping[str, Any]) -> dict[str, Documents]:
    """The roles in a plan or state (`terraform show -json`), by what follows the project in their names: `bot`.

    A role with a policy of AWS's own is left out, because nobody here knows what that holds.
    """
    found: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in resources((shown.get("planned_values") or shown["values"])["root_module"]):
        found[one["type"]].append(one["values"])
    managed = {f"{IAM}:policy/{one['name']}": (one["name"], one["policy"]) for one in found["aws_iam_policy"]}
    roles: dict[str, Documents] = {}
    for role in found["aws_iam_role"]:
        name = role["name"]
        attached = [one["policy_arn"] for one in found["aws_iam_role_policy_attachment"] if one["role"] == name]
        if not managed.keys() >= set(attached):
            continue
        roles[name.removeprefix("quarterdeck-").removesuffix("-instance")] = Documents(
            arn=f"{IAM}:role/{name}",
            trust=role["assume_role_policy"],
            inline={p["name"]: p["policy"] for p in found["aws_iam_role_policy"] if p["role"] == name},
            attached=dict(managed[arn] for arn in attached),
            boundary=managed[role["permissions_boundary"]] if role["permissions_boundary"] else None,
        )
    return roles


def resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The managed resources of a module and of those in it, as `terraform show -json` has them."""
    yield from (one for one in module.get("resources", ()) if one["mode"] == "managed")
    for child in module.get("child_modules", ()):
        yield from resources(child)
