"""The instants at which the bot is killed: between every intent and its effect, and at every transition that is kept.

An instant is either a commit of the bot's database, told by what the transaction writes, or a request to the outside,
told by its line on the wire; the bot dies right before it or right after it. This room only names them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

Side = Literal["before", "after"]


class Ending(StrEnum):
    """What is left once the bot is back and the outage, if any, is over."""

    FINISHED = "went on and ended as if nothing had happened"
    ASKED_AGAIN = "nothing had begun; asked again, it went through"
    INTERRUPTED = "interrupted: it says what cannot be known, keeps its lock, sends nothing again"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the bot's database that writes such a row: `columns` are values that it sets (None: any value).

    `keys` must all be in the JSON column `data` of an event with something in them; `prefix` begins a card's key.
    """

    table: str
    columns: tuple[tuple[str, object], ...] = ()
    keys: tuple[str, ...] = ()
    prefix: str = ""
    face: str = ""

    def made_by(self, table: str, values: Mapping[str, Any]) -> bool:
        """Whether a statement on that table with those values writes such a row."""
        if table != self.table:
            return False
        if any(name not in values or value not in (None, values[name]) for name, value in self.columns):
            return False
        if any((values.get("data") or {}).get(key) is None for key in self.keys):
            return False
        if self.face and not str((values.get("state") or {}).get("face", "")).startswith(self.face):
            return False
        return not self.prefix or any(isinstance(v, str) and v.startswith(self.prefix) for v in values.values())


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a part of the outside: the first that matches once `skip` of them have passed."""

    part: str
    match: str
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Instant:
    """One row of the table. `then` is a second death, on the way back."""

    flow: str
    what: str
    side: Side
    trigger: Commit | Request
    ending: Ending = Ending.FINISHED
    then: Request | None = None

    @property
    def name(self) -> str:
        """As the README has it, and as a test's id."""
        again = ", and again while it looks for what it had sent" if self.then else ""
        return f"{self.flow}: {self.side} {self.what}{again}"


def event(name: str, *keys: str) -> Commit:
    """The commit that records such an event."""
    return Commit("events", (("name", name),), keys)


def saved(*keys: str) -> Commit:
    """The commit of a checkpoint that sets these keys."""
    return event("run.checkpointed", *keys)


def card(prefix: str = "", face: str = "", **columns: object) -> Commit:
    return Commit("cards", tuple(columns.items()), prefix=prefix, face=face)


def both(flow: str, what: str, trigger: Commit | Request, before: Ending | None = None, after: Ending | None = None):
    """The instants on both sides."""
    endings: dict[Side, Ending] = {"before": before or Ending.FINISHED, "after": after or Ending.FINISHED}
    return [Instant(flow, what, side, trigger, ending) for side, ending in endings.items()]


OPS_POST = Request("discord", r"^POST .*/channels/OPS/messages$")
AUDIT_POST = Request("discord", r"^POST .*/channels/AUDIT/messages$")
EDIT = Request("discord", r"^PATCH .*/channels/OPS/messages/(?!BOARD$)")
EDIT_OF_CARD = Request("discord", r"^PATCH .*/channels/OPS/messages/CARD$")
CALLBACK = Request("discord", r"^POST .*/interactions/.*/callback$")
ANSWER = Request("discord", r"/webhooks/\d+/")
DISPATCH = Request("github", r"^POST .*/dispatches$")
RUN = Request("github", r"^GET .*/actions/runs/\d+$")
RUNS = Request("github", r"^GET .*/actions/runs\?(?!.*head_sha)")
CANCEL_RUN = Request("github", r"^POST .*/cancel$")
RECORD = Request("github", r"^POST .*/deployments$")
RECORD_STATUS = Request("github", r"^POST .*/deployments/\d+/statuses$")
SEND = Request("aws", r"^ssm:SendCommand$")
LOOK = Request("aws", r"^ssm:GetCommandInvocation$")
LIST = Request("aws", r"^ssm:ListCommands$")
STOP = Request("aws", r"^ssm:CancelCommand$")
NOT_BEGUN, LOST = Ending.ASKED_AGAIN, Ending.INTERRUPTED

INSTANTS: tuple[Instant, ...] = (
    # A deploy to dev that builds, in the order in which things happen.
    *both("deploy", "Discord hears the first answer", CALLBACK, NOT_BEGUN, NOT_BEGUN),
    *both("deploy", "the operation is written", event("operation.requested"), NOT_BEGUN),
    *both("deploy", "it starts and takes its lock", event("operation.running")),
    *both("deploy", "the dispatch is announced", saved("dispatch_sent_at"), after=LOST),
    *both("deploy", "GitHub takes the dispatch", DISPATCH, LOST),
    Instant("deploy", "GitHub takes the dispatch", "after", DISPATCH, then=RUNS),
    *both("deploy", "the run's id is saved", saved("run_id")),
    *both("deploy", "the deployment is recorded on GitHub", RECORD),
    *both("deploy", "the run is looked at", RUN),
    *both("deploy", "the image's digest is saved", saved("image_digest")),
    *both("deploy", "the command is announced", saved("command_sent_at"), after=LOST),
    *both("deploy", "SSM takes the command", SEND, LOST),
    Instant("deploy", "SSM takes the command", "after", SEND, then=LIST),
    *both("deploy", "the command's id is saved", saved("command_id")),
    *both("deploy", "the command is looked at", LOOK),
    *both("deploy", "the check on the host is sent", Request("aws", SEND.match, skip=1)),
    *both("deploy", "GitHub is told how it ended", Request("github", RECORD_STATUS.match, skip=1)),
    *both("deploy", "the success is written", event("operation.succeeded")),
    *both("deploy", "the card's last face is noted", card(face="succeeded", shown=None)),
    # A request that waits for approval: what people see, and what they decide.
    *both("request", "the operation is written", event("operation.requested"), NOT_BEGUN),
    *both("request", "the card's nonce is saved", card("operation:", nonce=None)),
    *both("request", "the card is posted", OPS_POST),
    *both("request", "the card's message is noted", card("operation:", message_id=None)),
    *both("request", "the card that pinged is edited", EDIT),
    *both("approval", "Discord hears the first answer to the press", CALLBACK, NOT_BEGUN, NOT_BEGUN),
    *both("approval", "the vote is written", event("vote.approve"), NOT_BEGUN),
    *both("approval", "it starts and takes its lock", event("operation.running")),
    *both("denial", "the denial is written", event("operation.denied"), NOT_BEGUN),
    *both("denial", "whoever denied is answered", ANSWER),
    *both("denial", "the card is edited", EDIT_OF_CARD),
    *both("denial", "the line of #audit is posted", AUDIT_POST),
    *both("denial", "the ping of the requester is posted", OPS_POST),
    *both("withdrawal", "the cancellation of a waiting request is written", event("operation.cancelled"), NOT_BEGUN),
    *both("expiry", "the expiry is written", event("operation.expired")),
    *both("stale", "it is written that the approval no longer holds", event("operation.stale")),
    # Stopping.
    *both("cancelled build", "the wish to cancel is written", event("cancel.requested"), NOT_BEGUN),
    *both("cancelled build", "GitHub takes the cancellation", CANCEL_RUN),
    *both("cancelled build", "the end is written", event("operation.cancelled")),
    *both("cancelled rollout", "the wish to cancel is written", event("cancel.requested"), NOT_BEGUN),
    *both("cancelled rollout", "SSM takes the cancellation", STOP),
    *both("cancelled rollout", "the end is written", event("operation.cancelled")),
    # Going back.
    *both("rollback", "the operation is written", event("operation.requested"), NOT_BEGUN),
    *both("rollback", "SSM takes the command", SEND, LOST),
    *both("rollback", "the command's id is saved", saved("command_id")),
    *both("rollback", "the success is written", event("operation.succeeded")),
    *both("sick version", "the way back is decided", saved("switch_back")),
    *both("sick version", "the way back is announced", saved("back_sent_at"), after=LOST),
    *both("sick version", "SSM takes the command back", Request("aws", SEND.match, skip=2), LOST),
    *both("sick version", "the id of the command back is saved", saved("back_id")),
    *both("sick version", "the failure is written", event("operation.failed")),
    # Not going well.
    *both("broken build", "the failure is written", event("operation.failed")),
    *both("lost dispatch", "it is written that nobody knows", event("operation.interrupted"), LOST, LOST),
    *both("look again", "it is written that it looks again", event("operation.running"), LOST, LOST),
    *both("close", "the end by a person's word is written", event("operation.failed"), NOT_BEGUN),
)  # fmt: skip


def named(name: str) -> Instant:
    """The instant of that name.

    Raises:
        KeyError: there is none.
    """
    return {instant.name: instant for instant in INSTANTS}[name]
