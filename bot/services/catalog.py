"""The catalog: which services and environments there are, and what a ref means in one of them.

A ref is a branch whose name the environment allows, or a commit that such a branch contains. A tag or a pull request
that bears the same name is never meant (branches are looked up as `heads/NAME` only), and a commit that exists only
in a fork's pull request is reachable from no branch, hence refused.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bot.clients.github import GithubClient
from bot.clients.github_types import Checks, Commit
from bot.errors import Refused, Unavailable
from bot.settings import EnvironmentSettings, ServiceSettings, Settings

COMMIT_ID = re.compile(r"^[0-9a-f]{7,40}\Z")
BRANCH_NAME = re.compile(r"^(?![-./])(?!.*(\.\.|//|@\{|\\))[\w./+-]{1,200}(?<![./])\Z", re.ASCII)
CHOICES_SHOWN = 12
CHOICES_FRESH_S = 15.0
CHOICES_USABLE_S = 300.0
CHOICES_WAIT_S = 1.5


@dataclass(frozen=True, slots=True)
class Target:
    """What a ref stands for. `branch` is the branch that contains the commit, `ahead` how far its head has moved on."""

    commit: Commit
    branch: str
    ahead: int


@dataclass(frozen=True, slots=True)
class RefChoice:
    """One line of the ref picker: a value to send and what to know about it."""

    value: str
    commit: Commit
    checks: Checks | None


class Catalog:
    """Reads the settings and asks GitHub about refs; changes nothing."""

    def __init__(self, settings: Settings, github: GithubClient) -> None:
        self._settings = settings
        self._github = github
        self._choices: tuple[float, list[RefChoice]] = (float("-inf"), [])
        self._reading: asyncio.Task[list[RefChoice]] | None = None

    @property
    def environments(self) -> Mapping[str, EnvironmentSettings]:
        return self._settings.environments

    @property
    def services(self) -> Mapping[str, ServiceSettings]:
        return self._settings.services

    def environment(self, name: str) -> EnvironmentSettings:
        """The environment of that name.

        Raises:
            Refused: there is none; the sentence lists those that there are.
        """
        if name not in self.environments:
            raise Refused(
                f"There is no environment {_quoted(name)}.", hint=f"Environments: {', '.join(self.environments)}."
            )
        return self.environments[name]

    def service(self, name: str) -> ServiceSettings:
        """The service of that name.

        Raises:
            Refused: there is none; the sentence lists those that there are.
        """
        if name not in self.services:
            raise Refused(f"There is no service {_quoted(name)}.", hint=f"Services: {', '.join(self.services)}.")
        return self.services[name]

    def deployable(self, name: str) -> ServiceSettings:
        """The service, if it may be deployed at all.

        Raises:
            Refused: unknown, or not deployable; the sentence says why.
        """
        service = self.service(name)
        if not service.deployable:
            raise Refused(service.not_deployable_reason or f"{name} cannot be deployed from here.", rule="catalog")
        return service

    def entry(self, environment: str, service: str) -> dict[str, object]:
        """What the catalog says of this pair, for the digest: a changed entry makes an approval stale."""
        chosen = self.environment(environment)
        return {
            "service": self.service(service).model_dump(mode="json"),
            "environment": {"instance_id": chosen.instance_id, "refs": list(chosen.refs)},
        }

    async def resolve(self, ref: str, environment: str) -> Target:
        """The commit that the ref means there.

        Raises:
            Refused: malformed, not allowed in this environment, or not on GitHub.
            Unavailable: GitHub could not be asked.
        """
        allowed = self.environment(environment).refs
        if BRANCH_NAME.match(ref) is None:
            raise Refused(f"{_quoted(ref)} is neither a branch name nor a commit id.")
        head = await self._github.branch_head(ref) if _allows(allowed, ref) else None
        if head is not None:
            commit = await self._github.commit(head)
            if commit is None:
                raise Unavailable("github", "GitHub names a head for the branch but does not show the commit.")
            return Target(commit, ref, 0)
        if COMMIT_ID.match(ref):
            return await self._containing(ref, allowed)
        if not _allows(allowed, ref):
            raise Refused(
                f"The branch {_quoted(ref)} may not go to {environment}.",
                hint=f"Allowed: {', '.join(allowed)}.",
                rule="refs",
            )
        raise Refused(f"GitHub has no branch {_quoted(ref)}.", hint="Pick one of the suggestions, or push it first.")

    async def moved_on(self, branch: str, sha: str) -> tuple[int, Commit | None]:
        """How many commits the branch has come to hold beyond that one, and its newest; (0, None): none, or no branch.

        Raises:
            Unavailable: GitHub could not be asked.
        """
        head = await self._github.branch_head(branch)
        if head is None or head == sha:
            return 0, None
        comparison, newest = await asyncio.gather(self._github.compare(head, sha), self._github.commit(head))
        return comparison.behind_by, newest

    async def _containing(self, sha: str, allowed: tuple[str, ...]) -> Target:
        commit = await self._github.commit(sha)
        if commit is None or not commit.sha.startswith(sha):  # GitHub also takes the name of a tag for an id
            raise Refused(f"GitHub has no commit {_quoted(sha)} in this repository.", hint="Was it pushed?")
        async for name, head in self._heads(allowed):
            comparison = await self._github.compare(head, commit.sha)
            if comparison.head_is_contained:
                return Target(commit, name, comparison.behind_by)
        raise Refused(
            f"The commit {commit.sha[:7]} is on no branch that may be deployed here.",
            hint=f"Allowed branches: {', '.join(allowed)}.",
            rule="refs",
        )

    async def _heads(self, allowed: tuple[str, ...]) -> AsyncIterator[tuple[str, str]]:
        """(name, head) of the allowed branches: first those that are named outright, however many others there are."""
        default = self._settings.github.default_branch
        named = {name for name in (default, *allowed) if not _is_pattern(name) and _allows(allowed, name)}
        for name in sorted(named, key=lambda name: name != default):
            if (head := await self._github.branch_head(name)) is not None:
                yield name, head
        if any(_is_pattern(name) for name in allowed):
            for name, head in self._by_rank(await self._github.branches()):
                if name not in named and _allows(allowed, name):
                    yield name, head

    def _by_rank(self, branches: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The default branch first: nearly every commit is on it."""
        return sorted(branches, key=lambda b: (b[0] != self._settings.github.default_branch, b[0]))

    async def choices(self, typed: str, environment: str) -> list[RefChoice]:
        """Suggestions for the ref option, newest first, filtered by what was typed; at most 25 (Discord's limit).

        Autocomplete asks at every key and must answer soon: the list is kept for 15 s, and read by a task of its own,
        which goes on when the asker no longer waits; until it is done, a list of the last minutes has to do.
        """
        choices = await self._newest_choices()
        allowed = self.environments[environment].refs if environment in self.environments else ()
        wanted = typed.lower()
        fitting = [
            choice
            for choice in choices
            if (COMMIT_ID.match(choice.value) or _allows(allowed, choice.value))
            and (wanted in choice.value.lower() or wanted in choice.commit.title.lower())
        ]
        return fitting[:25]

    async def _newest_choices(self) -> list[RefChoice]:
        taken_at, choices = self._choices
        age_s = time.monotonic() - taken_at
        if age_s <= CHOICES_FRESH_S:
            return choices
        if self._reading is None or self._reading.done():  # many keys, and many people, are one reading
            self._reading = asyncio.create_task(self._read_anew(), name="ref choices")
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        usable = age_s <= CHOICES_USABLE_S
        try:
            async with asyncio.timeout(CHOICES_WAIT_S if usable else None):
                return await asyncio.shield(self._reading)
        except (TimeoutError, Unavailable):
            if usable:
                return choices
            raise

    async def _read_anew(self) -> list[RefChoice]:
        choices = await self._read_choices()
        self._choices = (time.monotonic(), choices)
        return choices

    async def _read_choices(self) -> list[RefChoice]:
        default = self._settings.github.default_branch
        branches, commits = await asyncio.gather(self._github.branches(), self._github.commits(default, CHOICES_SHOWN))
        named = self._by_rank(branches)[:CHOICES_SHOWN]
        heads = await asyncio.gather(*(self._github.commit(sha) for _, sha in named))
        rows = [(name, commit) for (name, _), commit in zip(named, heads, strict=True) if commit is not None]
        rows += [(commit.sha, commit) for commit in commits]
        shas = list(dict.fromkeys(commit.sha for _, commit in rows))
        checks = dict(zip(shas, await asyncio.gather(*(self._checks(sha) for sha in shas)), strict=True))
        return [RefChoice(value, commit, checks[commit.sha]) for value, commit in rows]

    async def _checks(self, sha: str) -> Checks | None:
        try:
            return await self._github.checks(sha)
        except Unavailable:
            return None


def _allows(patterns: tuple[str, ...], branch: str) -> bool:
    return any(fnmatchcase(branch, pattern) for pattern in patterns)


def _is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")


def _quoted(text: str) -> str:
    return f"“{text[:60]}”"
