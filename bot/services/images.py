"""Images by content: a component's fingerprint, the tag that it gives, and the image that bears it.

The fingerprint is the sha256 of one line `path object-id` for each of the component's paths, sorted; git's object ids
are already hashes of the content, so equal fingerprints mean equal content, whatever the commits. The workflow
`build-image.yml` computes the same and refuses another tag.
"""

import hashlib
from dataclasses import dataclass

from bot.clients.aws import AwsClient
from bot.clients.github import GithubClient
from bot.errors import Refused
from bot.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Content:
    """A component at a commit. `digest` is the image that already exists for it, or empty."""

    fingerprint: str
    tag: str
    digest: str


def fingerprint_of(object_ids: dict[str, str]) -> str:
    """64 hex digits for path -> git object id (`-` where the path is absent)."""
    lines = "".join(f"{path} {object_ids[path]}\n" for path in sorted(object_ids))
    return hashlib.sha256(lines.encode()).hexdigest()


def tag_of(fingerprint: str) -> str:
    """The only tag that an image gets."""
    return f"fp-{fingerprint[:16]}"


class Images:
    """Looks content up on GitHub and images in the registry; changes nothing."""

    def __init__(self, github: GithubClient, aws: AwsClient) -> None:
        self._github = github
        self._aws = aws

    async def content(self, service: ServiceSettings, commit: str) -> Content:
        """The component's content at that commit, and its image if one exists.

        Raises:
            Refused: none of the component's paths exists at that commit.
        """
        object_ids = await self._github.object_ids(commit, service.paths)
        if set(object_ids.values()) == {"-"}:
            raise Refused(f"At {commit[:7]} none of the service's paths exists ({', '.join(service.paths)}).")
        fingerprint = fingerprint_of(object_ids)
        tag = tag_of(fingerprint)
        return Content(fingerprint, tag, await self.digest(service, tag) or "")

    async def digest(self, service: ServiceSettings, tag: str) -> str | None:
        """The digest of the image with that tag, if the registry has it."""
        image = await self._aws.image_by_tag(service.image_repository, tag)
        return image.digest if image else None

    def reference(self, service: ServiceSettings, digest: str) -> str:
        """The address by which a host pulls exactly that image."""
        return self._aws.image_reference(service.image_repository, digest)
