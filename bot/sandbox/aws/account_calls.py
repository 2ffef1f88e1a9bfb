"""What Terraform's provider asks of an account and moto lacks, or judges wrongly; put into moto's classes at start."""

from collections.abc import Callable
from typing import Any

from moto.cloudtrail.models import CloudTrailBackend
from moto.ec2.models.amis import Ami
from moto.iam.access_control import IAMPolicyStatement, PermissionResult

Judge = Callable[..., PermissionResult]
Making = Callable[..., None]


def install() -> None:
    """Replace moto's methods by ones that answer as AWS does."""
    judge: Judge = IAMPolicyStatement.is_action_permitted
    statement: Any = IAMPolicyStatement
    statement.is_action_permitted = _heeding_conditions(judge)
    image: Any = Ami
    image.__init__ = _starting_from_a_volume(Ami.__init__)
    trails: Any = CloudTrailBackend
    trails.delete_trail = _by_name_or_arn(CloudTrailBackend.delete_trail)


def _heeding_conditions(judge: Judge) -> Judge:
    """Heed that moto judges a bucket policy without its conditions: a Deny of what is not TLS would deny everything.

    A Deny that only holds under a condition says nothing here: the requests of this world are of no interest to it.
    """

    def judged(statement: Any, *arguments: Any, **named: Any) -> PermissionResult:
        if statement._statement.get("Effect") == "Deny" and statement._statement.get("Condition"):
            return PermissionResult.NEUTRAL
        return judge(statement, *arguments, **named)

    return judged


def _starting_from_a_volume(make: Making) -> Making:
    """Call a machine image's root device `ebs`; moto calls that of a new one `standard`, which AWS does not know."""

    def made(image: Any, *arguments: Any, **named: Any) -> None:
        make(image, *arguments, **named)
        if image.root_device_type == "standard":
            image.root_device_type = "ebs"

    return made


def _by_name_or_arn(delete: Making) -> Making:
    """Delete a trail also when its ARN is given; moto knows the name alone, and passes over the rest in silence."""

    def deleted(backend: Any, name: str) -> None:
        delete(backend, name.rpartition(":trail/")[2])

    return deleted
