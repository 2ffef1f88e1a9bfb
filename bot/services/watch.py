"""What happens around the bot without it: builds that somebody else started, and a default branch whose checks fail.

Looks at GitHub from time to time (an unchanged answer costs nothing of the limit) and wants one message for each thing
seen. Message, cursor and record are written together, so that nothing is told twice or left out, whenever the bot dies.
"""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import sqlite

from bot.clients.github import GithubClient
from bot.clients.github_types import WorkflowRun
from bot.db.cards import Priority
from bot.db.tables import cards
from bot.ops.model import Operation
from bot.ops.store import Store
from bot.settings import Settings

CURSOR_KEY = "watch-cursor"
RUNS_SEEN = 30
"""The newest runs of the workflow that one look sees; of more than that, the older ones are not announced."""
OURS_AMONG = 200
"""The newest deploys whose builds are known as ours."""


class Past(Protocol):
    """The part of the core that remembers which builds are ours."""

    async def operations(self, *, kinds: Collection[str] = (), limit: int = 25) -> list[Operation]: ...


class Watch:
    """Looks, and writes down what is to be told in the channel for operations."""

    def __init__(self, settings: Settings, *, github: GithubClient, past: Past, store: Store) -> None:
        self._settings = settings
        self._github = github
        self._past = past
        self._store = store
        self._channel = settings.discord.channels["ops"]

    async def look(self) -> None:
        """One look at both.

        Raises:
            Unavailable: GitHub or the database could not be asked; the next look makes up for it.
        """
        await self._look_at_builds()
        await self._look_at_branch()

    # ---- builds ------------------------------------------------------------------------------------------------

    async def _look_at_builds(self) -> None:
        runs = await self._github.workflow_runs(self._settings.github.workflow, RUNS_SEEN)
        cursor = await self._store.database.read(_cursor)
        newest = max((run.id for run in runs), default=0)
        if cursor is not None and newest <= cursor:
            return
        foreign: Sequence[WorkflowRun] = ()
        if cursor is not None:  # at the very first look all of it is history
            new = sorted((run for run in runs if run.id > cursor), key=lambda run: run.id)
            ours = await self._past.operations(kinds=("deploy",), limit=OURS_AMONG)
            foreign = [run for run in new if not is_ours(run, ours)]

        def write(connection: Connection) -> None:
            for run in foreign:
                self._tell(connection, str(run.id), _of_run(run), "build.outside")
            _advance(connection, newest)

        await self._store.database.write(write)

    # ---- the default branch ------------------------------------------------------------------------------------

    async def _look_at_branch(self) -> None:
        branch = self._settings.github.default_branch
        head = await self._github.branch_head(branch)
        if head is None:
            return
        checks = await self._github.checks(head)
        if checks.state != "failure" or await self._store.database.read(lambda c: _is_told(c, head)):
            return
        commit = await self._github.commit(head)
        facts = {
            "about": "checks",
            "branch": branch,
            "sha": head,
            "title": commit.title if commit else "",
            "actor": commit.author if commit else "",
            "failing": list(checks.failing),
            "at": commit.committed_at.isoformat() if commit else None,
            "closed": self._closed_to(branch),
        }
        await self._store.database.write(lambda c: self._tell(c, head, facts, "checks.red"))

    def _closed_to(self, branch: str) -> list[str]:
        """The environments that take this branch, and only when its checks have passed."""
        environments = self._settings.environments.items()
        return [
            name
            for name, place in environments
            if place.require_checks and any(fnmatchcase(branch, pattern) for pattern in place.refs)
        ]

    def _tell(self, connection: Connection, number: str, facts: Mapping[str, Any], event: str) -> None:
        """Want the message and record what was seen, unless that was done before."""
        key = f"announcement:{number}"
        values = {"key": key, "channel_id": self._channel, "priority": int(Priority.OUTCOME), "state": {"facts": facts}}
        insert = sqlite.insert(cards).values(**values).on_conflict_do_nothing().returning(cards.c.key)
        if connection.execute(insert).first() is None:
            return
        who = f"github:{facts['actor']}" if facts["actor"] else "github"
        text = (
            f"A build was started outside the bot: {facts['title']}."
            if event == "build.outside"
            else f"The checks of {facts['branch']} at {facts['sha'][:7]} are red: {', '.join(facts['failing'])}."
        )
        self._store.record(connection, event, who, text, data=facts)


def is_ours(run: WorkflowRun, deploys: Sequence[Operation]) -> bool:
    """Whether one of our operations started it: by its id, or by the request id in its name while the answer to our
    dispatch is still out. A second run under a request id of ours is not ours: somebody copied it.
    """
    for operation in deploys:
        run_id, request_id = operation.checkpoint.get("run_id"), operation.checkpoint.get("request_id")
        if run_id == run.id or (run_id is None and request_id and f"[{request_id}]" in run.title):
            return True
    return False


def _of_run(run: WorkflowRun) -> dict[str, Any]:
    return {
        "about": "build",
        "run": run.id,
        "title": run.title,
        "actor": run.actor,
        "branch": run.branch,
        "sha": run.sha,
        "url": run.url,
        "at": run.created_at.isoformat() if run.created_at else None,
    }


def _cursor(connection: Connection) -> int | None:
    """The newest run that was looked at; None before the first look."""
    state = connection.execute(select(cards.c.state).where(cards.c.key == CURSOR_KEY)).scalar()
    return None if state is None else int(state["run"])


def _advance(connection: Connection, newest: int) -> None:
    values = {"key": CURSOR_KEY, "channel_id": 0, "priority": 99, "wanted": 0, "state": {"run": newest}}
    connection.execute(sqlite.insert(cards).values(**values).on_conflict_do_nothing())
    connection.execute(update(cards).where(cards.c.key == CURSOR_KEY).values(state={"run": newest}))


def _is_told(connection: Connection, number: str) -> bool:
    return connection.execute(select(cards.c.key).where(cards.c.key == f"announcement:{number}")).first() is not None
