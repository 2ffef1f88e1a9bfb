"""What this GitHub remembers beside git: runs, deployments, forced checks and pull requests, in one file."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bot.sandbox.clock import Clock
from bot.sandbox.github.runs import Run
from bot.sandbox.github.shapes import Pull

FIRST_RUN = 17_400_000_001
FIRST_DEPLOYMENT = 2_310_000_001
FIRST_STATUS = 4_620_000_001
FIRST_HOOK = 512_000_001
FIRST_COMMIT_STATUS = 31_200_000_001
RUNS_KEPT = 400
"""The file is written whole at every change, so it must not grow for ever."""


class JournalUnreadable(Exception):
    """The file is there and cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as it was asked for. `created_at` is in Unix seconds."""

    id: int
    sha: str
    ref: str
    task: str
    environment: str
    description: str
    payload: dict[str, object] | str
    transient: bool
    production: bool
    created_at: float


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    id: int
    deployment: int
    state: str
    environment: str
    description: str
    log_url: str
    environment_url: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the next runs of a workflow end: `times` of them. Empty job and step: chosen when the run begins."""

    workflow: str
    conclusion: str
    job: str = ""
    step: str = ""
    seconds: float | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class ForcedCheck:
    """A result that a lever gave to a commit; `name` empty: to each of its checks. `pending` never ends."""

    conclusion: str
    at: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class LastResponse:
    """How the newest delivery to a hook ended."""

    code: int | None = None
    status: str = "unused"
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook: where deliveries go, which events, and the key that signs them. `target` is the repository's id."""

    id: int
    target: int
    url: str
    created_at: float
    updated_at: float
    events: tuple[str, ...] = ("push",)
    active: bool = True
    content_type: str = "form"
    secret: str = ""
    insecure_ssl: str = "0"
    last: LastResponse = LastResponse()


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """What a service other than Actions says of a commit."""

    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    created_at: float


@dataclass(slots=True)
class Journal:
    """Everything remembered. Runs are replaced, never changed in place."""

    clock_s: float = 0.0
    runs: dict[int, Run] = field(default_factory=dict)
    earlier: dict[int, list[Run]] = field(default_factory=dict)
    """The attempts before the present one, by the run's id, oldest first."""
    deployments: dict[int, Deployment] = field(default_factory=dict)
    statuses: list[DeploymentStatus] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    checks: dict[str, ForcedCheck] = field(default_factory=dict)
    commit_statuses: list[CommitStatus] = field(default_factory=list)
    hooks: dict[int, Hook] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)

    def next_run(self) -> int:
        """The id of the next run; like the other ids it only grows."""
        return max(self.runs, default=FIRST_RUN - 1) + 1

    def next_deployment(self) -> int:
        """The id of the next deployment."""
        return max(self.deployments, default=FIRST_DEPLOYMENT - 1) + 1

    def next_hook(self) -> int:
        """The id of the next hook."""
        return max(self.hooks, default=FIRST_HOOK - 1) + 1

    def next_commit_status(self) -> int:
        """The id of the next status of a commit."""
        return max((status.id for status in self.commit_statuses), default=FIRST_COMMIT_STATUS - 1) + 1

    def next_status(self) -> int:
        """The id of the next deployment status."""
        return max((status.id for status in self.statuses), default=FIRST_STATUS - 1) + 1

    def run_number(self, path: str) -> int:
        """The number of a workflow's next run."""
        return 1 + max((run.number for run in self.runs.values() if run.path == path), default=0)

    def add_run(self, run: Run) -> None:
        """Take a run in, in place of its last state; beyond `RUNS_KEPT` the oldest is forgotten."""
        self.runs[run.id] = run
        if len(self.runs) > RUNS_KEPT:
            oldest = min(self.runs)
            del self.runs[oldest]
            self.earlier.pop(oldest, None)


JOURNAL = TypeAdapter(Journal)


class JournalFile:
    """Reads the journal once and writes it whole at every change, by renaming, so that a crash leaves the old one."""

    def __init__(self, *, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self.journal = Journal()

    def load(self) -> None:
        """Take in what the last world wrote, if anything. Its runs are moved back when its clock was ahead of ours.

        Raises:
            JournalUnreadable: the file is damaged.
        """
        try:
            self.journal = JOURNAL.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValidationError) as error:
            raise JournalUnreadable(f"{self._path} cannot be read; start the world with --reset. ({error})") from error
        ahead_s = self.journal.clock_s - self._clock.now()
        if ahead_s > 0:
            self.journal.runs = {run.id: _earlier(run, ahead_s) for run in self.journal.runs.values()}
            self.journal.earlier = {
                number: [_earlier(run, ahead_s) for run in runs] for number, runs in self.journal.earlier.items()
            }

    def save(self) -> None:
        """Write everything down.

        Raises:
            OSError: it cannot be written.
        """
        self.journal.clock_s = self._clock.now()
        draft = self._path.with_suffix(".new")
        draft.write_bytes(JOURNAL.dump_json(self.journal))
        draft.replace(self._path)


def _earlier(run: Run, seconds: float) -> Run:
    pushed = replace(run.pushed, at=run.pushed.at - seconds) if run.pushed else None
    cancel_at = None if run.cancel_at is None else run.cancel_at - seconds
    return replace(
        run,
        created_at=run.created_at - seconds,
        started_at=run.started_at - seconds,
        pushed=pushed,
        cancel_at=cancel_at,
        execution=run.execution.moved(-seconds) if run.execution else None,
    )
