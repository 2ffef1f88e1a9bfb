"""AWS: the SSM documents that are ours, the registry, whether a host's agent answers, and a topic to call people by.

Reads are tried again by botocore (3 attempts). `SendCommand` is sent once: SSM has no idempotency token, so a lost
answer is looked up by the command's comment and never answered with a second command.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.clients.hearing import DEAF, Hearing
from bot.errors import NotVisible, Unavailable, Unknown, Unreachable

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
COMMAND_PAGES_MAX = 10
SUBJECT_MAX = 99
"""Characters of a message's subject, ASCII without line ends ("less than 100", SNS API reference, Publish, 2026)."""
THROTTLED = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"})
"""The codes of a rate limit among SSM's and ECR's "Common Errors" (API references, 2026)."""
THROTTLED_PAUSE_S = 5.0
NOT_KNOWN = frozenset(
    {"ExpiredTokenException", "UnrecognizedClientException", "IncompleteSignature", "InvalidClientTokenId"}
)
"""The codes with which AWS refuses the credentials themselves ("Common Errors", 2026)."""
FINISHED = frozenset(
    {
        "Success",
        "Failed",
        "TimedOut",
        "Cancelled",
        "Undeliverable",
        "Terminated",
        "DeliveryTimedOut",
        "ExecutionTimedOut",
    }
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image in the registry; `digest` is `sha256:` and 64 hex digits."""

    digest: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """An SSM document at the version that is its default now; `hash` is AWS's sha256 of the content."""

    name: str
    version: str
    hash: str


@dataclass(frozen=True, slots=True)
class Invocation:
    """One command on one host. `output` is what it has printed so far, as far as SSM shows it (24,000 characters)."""

    status: str
    exit_code: int
    output: str
    errors: str

    @property
    def finished(self) -> bool:
        return self.status in FINISHED


class AwsClient:
    """SSM and ECR of one account and region."""

    def __init__(self, *, region: str, account: str, endpoint_url: str | None, hearing: Hearing = DEAF) -> None:
        self._hearing = hearing
        self._region = region
        self._account = account
        self._endpoint_url = endpoint_url.rstrip("/") if endpoint_url else None
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, bool], Any] = {}

    async def close(self) -> None:
        await self._stack.aclose()

    def image_reference(self, repository: str, digest: str) -> str:
        """The address by which a host pulls exactly that image."""
        return f"{self._account}.dkr.ecr.{self._region}.amazonaws.com/{repository}@{digest}"

    async def image_by_tag(self, repository: str, tag: str) -> Image | None:
        """The image that bears this tag; None: there is none."""
        return await self._image(repository, {"imageTag": tag})

    async def image_by_digest(self, repository: str, digest: str) -> Image | None:
        """The image with this digest; None: the registry has it no more."""
        return await self._image(repository, {"imageDigest": digest})

    async def _image(self, repository: str, identifier: Mapping[str, str]) -> Image | None:
        async with self._calling("ecr") as ecr:
            try:
                answer = await ecr.describe_images(repositoryName=repository, imageIds=[dict(identifier)])
            except ecr.exceptions.ImageNotFoundException:
                return None
        detail = next(iter(answer["imageDetails"]), None)
        if detail is None:
            return None
        return Image(detail["imageDigest"], tuple(detail.get("imageTags", ())))

    async def document(self, name: str) -> Document:
        """The document's present default version and hash."""
        async with self._calling("ssm") as ssm:
            found = (await ssm.describe_document(Name=name))["Document"]
        return Document(name, str(found["DocumentVersion"]), str(found["Hash"]))

    async def send(
        self, document: Document, *, instance_id: str, parameters: Mapping[str, str], comment: str, timeout_s: int
    ) -> str:
        """Run that version of the document on the host; the command's id.

        Raises:
            Unknown: the command may or may not have been sent: look for the comment, never send again.
            Unavailable: AWS refused it; nothing runs.
        """
        async with self._calling("ssm", writing=True) as ssm:
            answer = await ssm.send_command(
                DocumentName=document.name,
                DocumentVersion=document.version,
                DocumentHash=document.hash,
                DocumentHashType="Sha256",
                InstanceIds=[instance_id],
                Parameters={name: [value] for name, value in parameters.items()},
                Comment=comment[:100],
                TimeoutSeconds=max(30, min(timeout_s, 2_592_000)),
            )
        return str(answer["Command"]["CommandId"])

    async def find_command(self, *, instance_id: str, comment: str) -> str | None:
        """The newest command on the host that carries exactly this comment, among its newest 500."""
        token: dict[str, str] = {}
        for _ in range(COMMAND_PAGES_MAX):
            async with self._calling("ssm") as ssm:
                answer = await ssm.list_commands(InstanceId=instance_id, MaxResults=50, **token)
            for command in answer["Commands"]:
                if command.get("Comment") == comment[:100]:
                    return str(command["CommandId"])
            if not answer.get("NextToken"):
                break
            token = {"NextToken": str(answer["NextToken"])}
        return None

    async def invocation(self, command_id: str, instance_id: str) -> Invocation | None:
        """How far the command is; None: SSM does not know it yet (it needs a moment after sending)."""
        async with self._calling("ssm") as ssm:
            try:
                found = await ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
            except ssm.exceptions.InvocationDoesNotExist:
                return None
        return Invocation(
            status=str(found["Status"]),
            exit_code=int(found.get("ResponseCode", -1)),
            output=str(found.get("StandardOutputContent", "")),
            errors=str(found.get("StandardErrorContent", "")),
        )

    async def cancel(self, command_id: str, instance_id: str) -> None:
        """Ask SSM to stop the command; whether it stopped is seen by `invocation`."""
        async with self._calling("ssm", writing=True) as ssm:
            await ssm.cancel_command(CommandId=command_id, InstanceIds=[instance_id])

    async def agent_heard_at(self, instance_id: str) -> datetime | None:
        """When the host's agent was last heard while it counts as online; None: it does not."""
        async with self._calling("ssm") as ssm:
            answer = await ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [instance_id]}])
        for row in answer["InstanceInformationList"]:
            if row["PingStatus"] == "Online":
                heard: datetime = row["LastPingDateTime"]
                return heard
        return None

    async def publish(self, topic_arn: str, *, subject: str, text: str, key: str) -> str:
        """Send a message to the topic; SNS's id of it. `key` keeps a FIFO topic from taking the same one twice in
        five minutes; of any other topic nothing keeps it.

        Raises:
            Unknown: it may have been sent. Unavailable: it was not.
        """
        fifo = {"MessageGroupId": "quarterdeck", "MessageDeduplicationId": key} if topic_arn.endswith(".fifo") else {}
        line = " ".join(subject.encode("ascii", "replace").decode().split())
        async with self._calling("sns", writing=True, region=topic_arn.split(":")[3]) as sns:
            answer = await sns.publish(TopicArn=topic_arn, Subject=line[:SUBJECT_MAX], Message=text, **fifo)
        return str(answer["MessageId"])

    @asynccontextmanager
    async def _calling(self, service: str, *, writing: bool = False, region: str = "") -> AsyncIterator[Any]:
        """The service's client, with every botocore exception translated on the way out. `region`: if not our own."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = await self._client(service, writing=writing, region=region or self._region)
        try:
            yield client
            self._hearing.heard("aws")
        except ClientError as error:
            refusal = _refusal(service, error.response, writing=writing)
            if _of_no_use(error.response):
                self._hearing.silent("aws", str(refusal))
            else:
                self._hearing.heard("aws")
            raise refusal from error
        except BotoCoreError as error:
            sentence = f"AWS {service.upper()} cannot be reached ({type(error).__name__})."
            self._hearing.silent("aws", sentence)
            if _never_sent(error):
                raise Unreachable("aws", sentence) from error
            raise (Unknown if writing else Unavailable)("aws", sentence) from error

    async def _client(self, service: str, *, writing: bool, region: str) -> Any:
        async with self._opening:
            if (service, writing) in self._clients:
                return self._clients[service, writing]
            # The SDK's import and its models take a good part of a second: off the event loop with them.
            self._session = await asyncio.to_thread(_session_with, service, self._session)
            from aiobotocore.config import AioConfig

            config = AioConfig(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"total_max_attempts": 1 if writing else 3, "mode": "standard"},
            )
            opening = self._session.create_client(
                service, region_name=region, endpoint_url=self._endpoint_url, config=config
            )
            self._clients[service, writing] = await self._stack.enter_async_context(opening)
            return self._clients[service, writing]


def _session_with(service: str, session: Any) -> Any:
    """The SDK's session (made when there is none yet) with the service's models in its cache. Blocks."""
    from aiobotocore.session import get_session

    session = session or get_session()
    loader = session.get_component("data_loader")
    for model in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model(service, model)
    for data in ("endpoints", "partitions", "sdk-default-configuration"):
        loader.load_data(data)
    return session


def _never_sent(error: Exception) -> bool:
    """Whether the request certainly did not leave us: no credentials to sign it with, or no connection at all."""
    from aiohttp import ClientConnectorError
    from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, NoCredentialsError

    if isinstance(error, EndpointConnectionError):  # aiobotocore raises it for a connection that was cut, too
        return isinstance(getattr(error, "kwargs", {}).get("error"), ClientConnectorError | socket.gaierror)
    return isinstance(error, NoCredentialsError | ConnectTimeoutError)


def _of_no_use(response: Mapping[str, Any]) -> bool:
    """Whether the answer says nothing of what was asked: AWS itself failed, or it does not know who we are."""
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status >= 500 or str(response.get("Error", {}).get("Code", "")) in NOT_KNOWN


def _refusal(service: str, response: Mapping[str, Any], *, writing: bool) -> Unavailable:
    code = str(response.get("Error", {}).get("Code", "unknown"))
    message = str(response.get("Error", {}).get("Message", ""))[:300]
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) or None
    sentence = f"AWS {service.upper()} refused the request ({code}: {message})."
    if status is not None and status >= 500:
        return (Unknown if writing else Unavailable)("aws", f"AWS {service.upper()} answered {status}.", status=status)
    if code in THROTTLED:  # a 400 that only says: later
        return Unavailable("aws", sentence, status=status, retry_after_s=THROTTLED_PAUSE_S)
    if code in ("InvalidDocument", "RepositoryNotFoundException", "InvalidInstanceId", "ParameterNotFound"):
        return NotVisible("aws", sentence, status=status)
    return Unavailable("aws", sentence, status=status)
