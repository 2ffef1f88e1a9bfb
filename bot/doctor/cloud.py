"""The checks of AWS: whose credentials, the documents, each environment's host and its agent, the images."""

from functools import partial

from bot.clients.aws_account import NO_CREDENTIALS, AwsAccount, AwsRefusal
from bot.doctor.examination import Check, Part
from bot.doctor.findings import Verdict, fine, warning, wrong
from bot.errors import NotVisible
from bot.settings import Settings

IDENTITY = "aws identity"
AGENT_VERSION_LEAST = (3, 3, 2746, 0)
"""The first agent that passes parameters as environment variables (SSM documents, `interpolationType`)."""
DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
NOT_ACCEPTED = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "ExpiredToken"}
) | {"ExpiredTokenException", "AuthFailure"}
POLICY_ADVICE = "Attach the policy from the README (Going live, AWS) to the bot's role."


class CloudExamination:
    """The checks of one configuration's AWS account."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._aws = settings.aws
        endpoint = settings.aws.endpoint_url
        self._account = AwsAccount(region=settings.aws.region, endpoint_url=str(endpoint) if endpoint else None)

    def part(self) -> Part:
        """The checks, in order."""
        documents = (self._aws.deploy_document, self._aws.status_document)
        services = {name: one for name, one in self._settings.services.items() if one.deployable}
        hosts = {name: one.instance_id for name, one in self._settings.environments.items()}
        return [
            Check(IDENTITY, self._identity),
            *(Check(f"aws document {name}", partial(self._document, name), IDENTITY) for name in documents),
            *(Check(f"aws host {name}", partial(self._host, host), IDENTITY) for name, host in hosts.items()),
            Check("aws commands", self._commands, IDENTITY),
            *(
                Check(f"aws images {name}", partial(self._images, one.image_repository), IDENTITY)
                for name, one in services.items()
            ),
        ]

    def _identity(self) -> Verdict:
        try:
            identity = self._account.identity()
        except AwsRefusal as error:
            if error.code == NO_CREDENTIALS:
                return wrong(
                    "there are no AWS credentials",
                    "Run the bot on an instance with its role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
                )
            if error.code in NOT_ACCEPTED:
                return wrong(f"AWS does not accept the credentials ({error.code})", "Renew them; is the clock right?")
            raise
        if identity.account != self._aws.account:
            return wrong(
                f"the credentials belong to the account {identity.account}, the file says {self._aws.account}",
                f'Set aws.account = "{identity.account}", or use the other account\'s credentials.',
            )
        return fine(f"{identity.arn} in {self._aws.region}")

    def _document(self, name: str) -> Verdict:
        try:
            version = self._account.document_version(name)
        except NotVisible:
            return wrong(
                f"there is no SSM document {name} in {self._aws.region}",
                f"Create it from infra/host/ssm/{name}.yaml (infra/host/README.md), or correct aws.*_document.",
            )
        except AwsRefusal as error:
            return _denied(error, "ssm:DescribeDocument")
        return fine(f"version {version}")

    def _host(self, instance_id: str) -> Verdict:
        try:
            found = self._account.hosts(instance_id)
        except AwsRefusal as error:
            return _denied(error, "ssm:DescribeInstanceInformation")
        if not found:
            return wrong(
                f"Systems Manager does not know {instance_id}",
                "Is the id right, the instance started, and its role allowed to speak to Systems Manager "
                "(AmazonSSMManagedInstanceCore)?",
            )
        host = found[0]
        if host.ping != "Online":
            since = f", last heard {host.heard_at:%Y-%m-%d %H:%M} UTC" if host.heard_at else ""
            return wrong(
                f"the agent on {instance_id} is silent ({host.ping}{since})",
                "On the host: systemctl restart amazon-ssm-agent; look at its way out to the internet or endpoint.",
            )
        if _version(host.agent_version) < AGENT_VERSION_LEAST:
            least = ".".join(map(str, AGENT_VERSION_LEAST))
            return wrong(
                f"the agent on {instance_id} is {host.agent_version}, older than {least}",
                "Update it (SSM document AWS-UpdateSSMAgent): older ones paste parameters into the script.",
            )
        return fine(f"{instance_id}, agent {host.agent_version} online")

    def _commands(self) -> Verdict:
        instance_id = next(iter(self._settings.environments.values())).instance_id
        try:
            self._account.may_list_commands(instance_id)
        except AwsRefusal as error:
            return _denied(error, "ssm:ListCommands")
        return fine("a command whose answer was lost can be found again")

    def _images(self, repository: str) -> Verdict:
        try:
            filled = self._account.has_images(repository)
        except NotVisible:
            return wrong(
                f"there is no image repository {repository} in {self._aws.region}",
                "Create it with immutable tags, or correct image_repository of the service.",
            )
        except AwsRefusal as error:
            return _denied(error, "ecr:DescribeImages")
        if not filled:
            return warning(
                f"the image repository {repository} is empty", "Nothing to mend when nothing was deployed yet."
            )
        return fine(f"the image repository {repository} holds images")


def _denied(error: AwsRefusal, action: str) -> Verdict:
    """A verdict about a missing right; anything else is passed on."""
    if error.code not in DENIED:
        raise error
    return wrong(f"the credentials may not {action}", POLICY_ADVICE)


def _version(text: str) -> tuple[int, ...]:
    """A version as numbers, so that 3.10 is newer than 3.9; one that cannot be read counts as the oldest."""
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
