"""What the account holds before anybody works in it; in a real account Terraform makes these."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORIES = ("app", "bot")
IMAGE_ID = "ami-0a1b2c3d4e5f60718"
INSTANCE_TYPE = "t3.small"
APPS_TOKEN = "sandbox-metrics-token"  # noqa: S105 - opens the figures of this world's services, which anybody may know
TOPICS = ("quarterdeck-alerts",)
PARAMETERS: Mapping[str, tuple[str, str]] = {
    "APP_TEAM": ("String", "Harbour Works"),
    "APP_TIMEZONE": ("String", "Europe/Berlin"),
    "APP_METRICS_TOKEN": ("SecureString", APPS_TOKEN),
}
"""The service's parameters in each environment, by name: type and value."""


async def seed_account(clients: Mapping[str, Any], *, instances: Mapping[str, str], documents: Path) -> None:
    """Create repositories, documents, parameters and instances.

    Args:
        clients: of the demo's key, by service: `ecr`, `ssm`, `ec2`, `sns`.
        instances: the instance id that each environment's machine has; moto gives them in this order.
        documents: the folder of the SSM documents; each file's name is its document's name.
    """
    await asyncio.gather(
        _repositories(clients["ecr"]),
        _documents(clients["ssm"], documents),
        *(_parameters(clients["ssm"], environment) for environment in instances),
        _instances(clients["ec2"], instances),
        *(clients["sns"].create_topic(Name=name) for name in TOPICS),
    )


async def _repositories(ecr: Any) -> None:
    for name in REPOSITORIES:
        await ecr.create_repository(
            repositoryName=name, imageTagMutability="IMMUTABLE", imageScanningConfiguration={"scanOnPush": True}
        )


async def _documents(ssm: Any, folder: Path) -> None:
    files = await asyncio.to_thread(lambda: sorted(folder.glob("*.yaml")))
    if not files:
        raise RuntimeError(f"There are no SSM documents in {folder}.")
    for file in files:
        text = await asyncio.to_thread(file.read_text, encoding="utf-8")
        await ssm.create_document(Name=file.stem, Content=text, DocumentType="Command", DocumentFormat="YAML")


async def _parameters(ssm: Any, environment: str) -> None:
    for name, (kind, value) in PARAMETERS.items():
        await ssm.put_parameter(Name=f"/quarterdeck/{environment}/app/{name}", Type=kind, Value=value)


async def _instances(ec2: Any, instances: Mapping[str, str]) -> None:
    for environment, instance_id in instances.items():
        tags = [
            {"Key": "Name", "Value": f"quarterdeck-{environment}"},
            {"Key": "Project", "Value": "quarterdeck"},
            {"Key": "Environment", "Value": environment},
        ]
        made = await ec2.run_instances(
            ImageId=IMAGE_ID,
            InstanceType=INSTANCE_TYPE,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        given = made["Instances"][0]["InstanceId"]
        if given != instance_id:
            raise RuntimeError(f"The instance of {environment} is {given}, not {instance_id}.")
