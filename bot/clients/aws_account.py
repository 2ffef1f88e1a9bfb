"""The AWS account as somebody sees it who sets the bot up or examines it: whose keys, which hosts, what is there.

Synchronous boto3, for commands that end; the running bot has `clients.aws`. It reads and never changes anything.
boto3 is imported when the first question is asked.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.errors import NotVisible, Unavailable, Unreachable

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3, 8
NO_CREDENTIALS = "NoCredentials"
UNKNOWN_THINGS = frozenset({"InvalidDocument", "RepositoryNotFoundException", "InvalidInstanceId"})


class AwsRefusal(Unavailable):
    """AWS answered, and not with what was asked; `code` is its own word for why."""

    def __init__(self, sentence: str, *, code: str, status: int | None) -> None:
        super().__init__("aws", sentence, status=status)
        self.code = code


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose credentials these are."""

    account: str
    arn: str


@dataclass(frozen=True, slots=True)
class Host:
    """An instance as Systems Manager lists it. `ping` is `Online`, `ConnectionLost` or `Inactive`."""

    instance_id: str
    name: str
    ping: str
    heard_at: datetime | None
    agent_version: str


class AwsAccount:
    """One account and region. Every question makes one request, or a few pages of one, and is not repeated."""

    def __init__(self, *, region: str | None, endpoint_url: str | None) -> None:
        self._region = region
        self._endpoint_url = endpoint_url.rstrip("/") if endpoint_url else None
        self._clients: dict[str, Any] = {}

    def default_region(self) -> str:
        """The region that the SDK's own configuration names; empty when there is none."""
        import boto3

        return str(boto3.session.Session().region_name or "")

    def identity(self) -> Identity:
        """Needs no permission.

        Raises:
            AwsRefusal: there are no credentials (`NO_CREDENTIALS`), or AWS does not accept them.
        """
        with self._asking("sts") as sts:
            answer = sts.get_caller_identity()
        return Identity(str(answer["Account"]), str(answer["Arn"]))

    def document_version(self, name: str) -> str:
        """The default version of an SSM document.

        Raises:
            NotVisible: there is no such document.
        """
        with self._asking("ssm") as ssm:
            return str(ssm.describe_document(Name=name)["Document"]["DocumentVersion"])

    def hosts(self, instance_id: str = "") -> list[Host]:
        """The instances that Systems Manager knows, or the one."""
        filters = [{"Key": "InstanceIds", "Values": [instance_id]}] if instance_id else []
        with self._asking("ssm") as ssm:
            pages = ssm.get_paginator("describe_instance_information").paginate(Filters=filters)
            return [_host(row) for page in pages for row in page["InstanceInformationList"]]

    def may_list_commands(self, instance_id: str) -> None:
        """Ask for the host's newest command: how the bot finds one again whose answer was lost."""
        with self._asking("ssm") as ssm:
            ssm.list_commands(InstanceId=instance_id, MaxResults=1)

    def has_images(self, repository: str) -> bool:
        """Whether the image repository holds anything.

        Raises:
            NotVisible: there is no such repository.
        """
        with self._asking("ecr") as ecr:
            return bool(ecr.describe_images(repositoryName=repository, maxResults=1)["imageDetails"])

    @contextmanager
    def _asking(self, service: str) -> Iterator[Any]:
        """The service's client, with every botocore exception translated on the way out."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        try:
            yield self._client(service)
        except ClientError as error:
            raise _refusal(service, error.response) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise AwsRefusal(
                "There are no AWS credentials in the environment.", code=NO_CREDENTIALS, status=None
            ) from error
        except BotoCoreError as error:
            raise Unreachable("aws", f"AWS {service.upper()} cannot be reached ({type(error).__name__}).") from error

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            import boto3
            from botocore.config import Config

            config = Config(
                connect_timeout=CONNECT_TIMEOUT_S, read_timeout=READ_TIMEOUT_S, retries={"total_max_attempts": 1}
            )
            session = boto3.session.Session(region_name=self._region)
            # mypy wants a literal for each service's own type; all that is asked of them stands above.
            self._clients[service] = session.client(service, endpoint_url=self._endpoint_url, config=config)  # type: ignore[call-overload]
        return self._clients[service]


def _host(row: Mapping[str, Any]) -> Host:
    return Host(
        instance_id=str(row["InstanceId"]),
        name=str(row.get("ComputerName") or row.get("Name") or ""),
        ping=str(row.get("PingStatus", "")),
        heard_at=row.get("LastPingDateTime"),
        agent_version=str(row.get("AgentVersion", "")),
    )


def _refusal(service: str, response: Mapping[str, Any]) -> Unavailable:
    code = str(response.get("Error", {}).get("Code", "unknown"))
    words = str(response.get("Error", {}).get("Message", ""))[:200]
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
    sentence = f"AWS {service.upper()} refused the request ({code}: {words})."
    if code in UNKNOWN_THINGS:
        return NotVisible("aws", sentence, status=status)
    return AwsRefusal(sentence, code=code, status=status)
