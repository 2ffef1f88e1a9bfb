"""The seeded past: what the team deployed before the visitor came, as rows that the bot loads on its first start.

It is told from the sample repository's own commits, so that every commit and image in it exists: each change goes to
dev soon after it was written, some go on to prod with an approval, one build fails, and one version is taken back.
Nothing here touches the host; `baseline` sees to it that what the newest rows say really runs.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.sandbox.cast import PEOPLE

Record = dict[str, Any]
LOGINS = {person.name: person.github for person in PEOPLE}

ON_DEV = 2
"""dev runs `main~2`, prod `main~4`: something is left to deploy in both."""
ON_PROD = 4
LEAST_COMMITS = ON_PROD + 1
AFTER_COMMIT = timedelta(minutes=25)
AFTER_DEV = timedelta(hours=2, minutes=10)
ROLLBACK_AFTER = timedelta(minutes=7)
DEPLOY_S = 58
REUSED_S = 21
FAILED_BUILD = "Build: the step “Build the image” ended with exit code 1: the test of the clock's time zone failed."
FAILED_VERIFY = (
    "Verify: /health answered 500 on 3 of 3 checks after the switch, and the host did not confirm the switch back."
)


@dataclass(frozen=True, slots=True)
class Version:
    """One commit of the main branch: what it says, who wrote it (a person of the cast), and the image of its content.

    `built_from` is the commit whose build made that image; an earlier one when the content did not change since.
    """

    sha: str
    at: datetime
    title: str
    author: str
    image: str
    built_from: str


def tell(versions: Sequence[Version]) -> list[Record]:
    """The records of service `app`, oldest first, from the main branch's versions, newest first.

    Raises:
        ValueError: there are fewer than five versions.
    """
    if len(versions) < LEAST_COMMITS:
        raise ValueError(f"the sample repository has {len(versions)} commits on main; {LEAST_COMMITS} are needed")
    records = [*_on_dev(versions), *_on_prod(versions)]
    return sorted(records, key=lambda record: str(record["created_at"]))


def dump(records: Sequence[Record]) -> str:
    """JSON lines."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _on_dev(versions: Sequence[Version]) -> Iterator[Record]:
    """Every change, as its author deployed it; the newest but one needed a second build."""
    for back in range(len(versions) - 1, ON_DEV - 1, -1):
        version = versions[back]
        at = version.at + AFTER_COMMIT
        if back == ON_DEV + 1:
            early, nothing = at - timedelta(minutes=9), replace(version, image="", built_from="")
            yield _record("deploy", "dev", nothing, at=early, who=version.author, status="failed", reason=FAILED_BUILD)
        yield _record("deploy", "dev", version, at=at, who=version.author)


def _on_prod(versions: Sequence[Version]) -> Iterator[Record]:
    """The older changes of some weight; the last but one did not hold and was rolled back."""
    older = [v for v in versions[ON_PROD + 1 :] if v.built_from == v.sha]
    good, bad = (older[1:], older[:1]) if len(older) > 1 else (older, [])
    for version in reversed(good):
        yield _approved(version)
    for version in bad:
        yield _approved(version, status="failed", reason=FAILED_VERIFY)
        at = version.at + AFTER_DEV + ROLLBACK_AFTER
        yield _record("rollback", "prod", good[0], at=at, who="sre", reason="errors on every page since the deploy")
    yield _approved(versions[ON_PROD])


def _approved(version: Version, **more: str) -> Record:
    """A deploy to prod as the change's author asked for it and somebody else of `sre` approved it."""
    approver = "sre2" if version.author == "sre" else "sre"
    return _record("deploy", "prod", version, at=version.at + AFTER_DEV, who=version.author, approver=approver, **more)


def _record(kind: str, environment: str, version: Version, *, at: datetime, who: str, **more: str) -> Record:
    """One row. `more` may hold `approver`, `status` and `reason`."""
    waited = timedelta(minutes=4) if "approver" in more else timedelta(seconds=1)
    reused = kind == "rollback" or version.built_from != version.sha
    lasted = timedelta(seconds=REUSED_S if reused else DEPLOY_S)
    return {
        "kind": kind,
        "environment": environment,
        "service": "app",
        "status": "succeeded",
        "commit": version.sha,
        "built_from": version.built_from,
        "title": version.title,
        "author": LOGINS.get(version.author, ""),
        "requester": who,
        "created_at": _text(at),
        "started_at": _text(at + waited),
        "ended_at": _text(at + waited + lasted),
        "image": version.image,
        **more,
    }


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
