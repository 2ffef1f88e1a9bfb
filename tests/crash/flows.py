"""The ways of an operation during which the bot dies: what stands before, what people do, and what must come of it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from tests.crash.witness import Witness
from tests.story.steps import card_of, cards_of, ended, green, new_commit
from tests.story.world_driver import ROOT, Message, World

WELL = "        return web.Response(body=self._health % (time.monotonic() - self._started), headers=JSON)\n"
AILING = """        said = self._health % (time.monotonic() - self._started)
        if "curl" not in _request.headers.get("User-Agent", ""):
            said = said.replace(b'"ok"', b'"ailing"')
        return web.Response(body=said, headers=JSON)
"""
SERVER = "app/server.py"


@dataclass
class Ground:
    """The world of all cases, and two versions whose images exist: `other` is the one that does not serve in dev."""

    world: World
    witness: Witness
    versions: list[str] = field(default_factory=list)
    sick: str = ""
    board: str = ""

    async def prepare(self) -> None:
        """Wait for the board that the bot pins by itself, and deploy two versions to dev."""
        self.board = (await self.world.card("On deck")).id
        for _ in range(2):
            sha = await green(self.world, await new_commit(self.world))
            await self.deployed(sha, "dev")
            self.versions.append(sha)

    async def heal(self) -> None:
        """Put a version that is well where the ailing one was left serving."""
        if self.sick and (await self.world.health("dev"))["commit"] == self.sick:
            await self.deployed(self.versions[-1], "dev")

    async def other(self, environment: str) -> str:
        """The version of both that does not serve there."""
        live = (await self.world.health(environment))["commit"]
        return next(sha for sha in reversed(self.versions) if sha != live)

    async def deployed(self, sha: str, environment: str) -> None:
        interaction = await self.world.command("dev", "deploy", service="app", environment=environment, ref=sha)
        await self.world.settle(interaction)
        number = self.witness.asked_by(interaction)
        assert number is not None
        await ended(self.world, f"#{number}")

    async def sick_version(self) -> str:
        """A version of which the host thinks well, and the bot does not; made once."""
        if not self.sick:
            whole = (ROOT / SERVER).read_text(encoding="utf-8")
            assert whole.count(WELL) == 1
            self.sick = await green(
                self.world, await self.world.push({SERVER: whole.replace(WELL, AILING)}, "Be ailing")
            )
            await self.world.push({SERVER: whole}, "Be well again")
        return self.sick


class Flow(ABC):
    """One operation. Subclasses say how it comes about; `act` is done again when nothing of it was written."""

    status: ClassVar[str] = "succeeded"
    runs: int = 0
    rollouts: ClassVar[int] = 1
    environment: ClassVar[str] = "dev"

    def __init__(self, ground: Ground) -> None:
        self.ground, self.world, self.witness = ground, ground.world, ground.witness
        self.interaction = ""
        self.operation: int | None = None
        self.commit = ""

    @property
    def short_id(self) -> str:
        return f"#{self.operation}"

    async def prepare(self) -> None:  # noqa: B027 - most flows need nothing
        """What must stand before the bot may die."""

    @abstractmethod
    async def act(self) -> None:
        """What somebody does; afterwards everything goes by itself."""

    def recorded(self) -> bool:
        """Whether the bot has written down what somebody did."""
        self.operation = self.operation or self.witness.asked_by(self.interaction)
        return self.operation is not None

    async def serves(self) -> str:
        return str((await self.world.health(self.environment))["commit"])

    async def right(self) -> None:
        """That the outside is as the operation's end says."""
        if self.status == "succeeded":
            assert await self.serves() == self.commit

    async def card(self, *words: str) -> Message:
        return await card_of(self.world, self.short_id, *words)

    async def offers(self, label: str) -> Message:
        """Wait until the card has that button."""

        async def found() -> Message | None:
            return next((card for card in await cards_of(self.world, self.short_id) if label in card.labels), None)

        return await self.world.until(f"the button {label} on the card of {self.short_id}", found)

    async def ask(self, command: str = "deploy", **options: str) -> None:
        self.interaction = await self.world.command("dev", command, service="app", **options)

    async def asked(self, command: str = "deploy", **options: str) -> None:
        """Ask, and wait until that is written."""
        await self.ask(command, **options)
        await self.world.settle(self.interaction)
        assert self.recorded(), "the operation was not written"

    async def press(self, who: str, label: str) -> str:
        return await self.world.press(who, await self.offers(label), label)


class Deploy(Flow):
    """To dev, of a commit that must be built."""

    runs = 1

    async def prepare(self) -> None:
        self.commit = await green(self.world, await new_commit(self.world))

    async def act(self) -> None:
        await self.ask(environment="dev", ref=self.commit)

    async def right(self) -> None:
        await super().right()
        self.ground.versions.append(self.commit)


class Rollback(Flow):
    """Of dev, to the version before: no build."""

    async def prepare(self) -> None:
        self.commit = await self.ground.other("dev")

    async def act(self) -> None:
        await self.ask("rollback", environment="dev", to=self.commit)


class SickVersion(Flow):
    """To dev, of a version that the check after the switch finds ailing."""

    status = "failed"
    rollouts = 2

    async def prepare(self) -> None:
        self.runs = 0 if self.ground.sick else 1  # it is built by the first case that needs it
        self.commit = await self.ground.sick_version()
        self.before = await self.serves()

    async def act(self) -> None:
        await self.ask(environment="dev", ref=self.commit)

    async def right(self) -> None:
        assert await self.serves() == self.before
        assert "Switched back" in (await self.card("failed")).text


class Waiting(Flow):
    """Something that happens to a request for prod that waits for approval."""

    environment = "prod"
    rollouts = 0
    event: ClassVar[str]

    async def prepare(self) -> None:
        self.commit = await self.ground.other("prod")
        self.before = await self.serves()
        await self.asked(environment="prod", ref=self.commit)
        await self.offers("Approve")

    def recorded(self) -> bool:
        if self.operation is None:
            return super().recorded()
        return any(event["name"] == self.event for event in self.witness.events(self.operation))

    async def right(self) -> None:
        assert await self.serves() == (self.commit if self.status == "succeeded" else self.before)


class Asking(Waiting):
    """The request itself."""

    status = "pending"
    event = "operation.requested"

    async def prepare(self) -> None:
        self.commit = await self.ground.other("prod")
        self.before = await self.serves()

    async def act(self) -> None:
        await self.ask(environment="prod", ref=self.commit)

    async def right(self) -> None:
        """It can be decided upon; nothing else has happened."""
        await super().right()
        await self.offers("Approve")
        await self.world.ask("dev", "ops cancel", operation=str(self.operation))
        await self.card("cancelled")


class Approval(Waiting):
    rollouts = 1
    event = "vote.approve"

    async def act(self) -> None:
        await self.press("sre", "Approve")

    async def right(self) -> None:
        await super().right()
        assert self.operation is not None
        assert [vote["person"] for vote in self.witness.votes(self.operation)] == ["sre"]


class Denial(Waiting):
    status = "denied"
    event = "operation.denied"

    async def act(self) -> None:
        opened = await self.world.settle(await self.press("sre", "Deny…"))
        await self.world.submit("sre", opened.id, {opened.modal["fields"][0]["label"]: "Not today."})


class Withdrawal(Waiting):
    status = "cancelled"
    event = "operation.cancelled"

    async def act(self) -> None:
        await self.world.command("dev", "ops cancel", operation=str(self.operation))


class Expiry(Waiting):
    status = "expired"
    event = "operation.expired"

    async def act(self) -> None:
        assert self.operation is not None
        self.witness.let_expire(self.operation)


class Stale(Waiting):
    """Its checks turn red before it is approved."""

    status = "stale"
    event = "vote.approve"

    async def act(self) -> None:
        await self.world.github("checks", sha=self.commit, conclusion="failure")
        await self.press("sre", "Approve")

    async def right(self) -> None:
        await green(self.world, self.commit)
        await super().right()


class Stopped(Flow):
    """Something that is under way, and that somebody cancels."""

    status = "cancelled"
    checkpoint: ClassVar[str]

    @abstractmethod
    async def begin(self) -> None:
        """Set it going, so slowly that it can be cancelled."""

    async def prepare(self) -> None:
        self.before = await self.serves()
        await self.begin()

        async def under_way() -> bool:
            return self.operation is not None and self.witness.saved(self.operation, self.checkpoint)

        await self.world.until("it to be under way", under_way)

    async def act(self) -> None:
        await self.world.command("dev", "ops cancel", operation=str(self.operation))

    def recorded(self) -> bool:
        if self.operation is None:
            return super().recorded()
        return self.witness.operation(self.operation)["cancel_requested_at"] is not None

    async def right(self) -> None:
        assert await self.serves() == self.before


class CancelledBuild(Stopped):
    runs = 1
    rollouts = 0
    checkpoint = "run_url"

    async def begin(self) -> None:
        self.commit = await green(self.world, await new_commit(self.world))
        await self.world.github("outcome", workflow="build-image.yml", conclusion="success", seconds=9000, times=1)
        await self.asked(environment="dev", ref=self.commit)


class CancelledRollout(Stopped):
    checkpoint = "command_id"

    async def begin(self) -> None:
        self.commit = await self.ground.other("dev")
        await self.world.host_outcome(document="quarterdeck-deploy", exit_code=0, seconds=3600, times=1)
        await self.asked("rollback", environment="dev", to=self.commit)


class BrokenBuild(Flow):
    """A build that fails on GitHub."""

    status = "failed"
    runs = 1
    rollouts = 0

    async def prepare(self) -> None:
        self.before = await self.serves()
        self.commit = await green(self.world, await new_commit(self.world))
        await self.world.github(
            "outcome", workflow="build-image.yml", step="Build image", conclusion="failure", times=1
        )

    async def act(self) -> None:
        await self.ask(environment="dev", ref=self.commit)

    async def right(self) -> None:
        assert await self.serves() == self.before


class LostDispatch(Flow):
    """A dispatch that GitHub answers with 502 and of which there is no trace."""

    status = "interrupted"
    rollouts = 0

    async def prepare(self) -> None:
        self.commit = await green(self.world, await new_commit(self.world))

    async def act(self) -> None:
        await self.world.fault("github", "status", match="POST .*/dispatches", status=502, times=1)
        await self.ask(environment="dev", ref=self.commit)


class LookAgain(LostDispatch):
    """The same, and somebody lets it look once more; there still is nothing."""

    async def prepare(self) -> None:
        await super().prepare()
        await super().act()
        await self.world.settle(self.interaction)
        assert self.recorded()
        await self.offers("Look again")

    async def act(self) -> None:
        await self.press("dev", "Look again")

    def recorded(self) -> bool:
        if self.operation is None:
            return super().recorded()
        return len([e for e in self.witness.events(self.operation) if e["name"] == "operation.running"]) > 1


class Close(LookAgain):
    """The same, and somebody closes it."""

    status = "failed"

    async def act(self) -> None:
        opened = await self.world.settle(await self.press("dev", "Close, free lock…"))
        await self.world.submit("dev", opened.id, {opened.modal["fields"][0]["label"]: "GitHub shows no run."})

    def recorded(self) -> bool:
        if self.operation is None:
            return Flow.recorded(self)
        return str(self.witness.operation(self.operation)["status"]) == "failed"


FLOWS: dict[str, type[Flow]] = {
    "deploy": Deploy,
    "request": Asking,
    "approval": Approval,
    "denial": Denial,
    "withdrawal": Withdrawal,
    "expiry": Expiry,
    "stale": Stale,
    "cancelled build": CancelledBuild,
    "cancelled rollout": CancelledRollout,
    "rollback": Rollback,
    "sick version": SickVersion,
    "broken build": BrokenBuild,
    "lost dispatch": LostDispatch,
    "look again": LookAgain,
    "close": Close,
}


def flow_of(name: str, ground: Ground) -> Flow:
    return FLOWS[name](ground)
