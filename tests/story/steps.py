"""What the stories do again and again, in the words of those who do it."""

import itertools

from tests.story.world_driver import SHORT_ID, Message, Reply, World

CHANGES = "app/CHANGES.md"
BROKEN_START = "raise SystemExit('KeyError: STRIPE_KEY')\n"
ENDED = ("succeeded", "failed", "cancelled", "denied", "expired", "stale", "interrupted")
_numbers = itertools.count(1)


async def new_commit(world: World, *, title: str = "", files: dict[str, str | None] | None = None) -> str:
    """Push a commit to main that changes the service's content and leaves it runnable; returns its sha."""
    number = next(_numbers)
    content = {CHANGES: f"# Changes\n\n- change {number} of {world.home.name}\n"} if files is None else files
    return await world.push(content, title or f"Change {number} of the service")


async def green(world: World, sha: str) -> str:
    """Let the commit's checks have passed."""
    await world.github("checks", sha=sha, conclusion="success")
    return sha


async def asked(world: World, user: str, environment: str, ref: str = "main", *, kind: str = "deploy") -> str:
    """Ask for a deploy of the service; returns the operation's short id, such as `#12`."""
    reply = await world.ask(user, "deploy", service="app", environment=environment, ref=ref)
    if "again" in reply.text.lower() and "Deploy again" in (await labels_for(world, user, reply)):
        reply = await world.settle(await world.press(user, reply.message, "Deploy again"))
    return operation_in(reply)


async def labels_for(world: World, user: str, reply: Reply) -> list[str]:
    """The labels on the message that answered."""
    found = [m for m in await world.messages(user=user) if m.id == reply.message]
    return found[0].labels if found else []


def operation_in(reply: Reply) -> str:
    found = SHORT_ID.search(reply.text)
    assert found is not None, f"the answer names no operation: {reply.text!r}"
    return found.group(0)


async def card_of(world: World, operation: str, *words: str, timeout_s: float = 60.0) -> Message:
    """Wait until the operation's card holds all the words."""

    async def probe() -> Message | None:
        fitting = [m for m in await cards_of(world, operation) if all(word in m.text for word in words)]
        return fitting[-1] if fitting else None

    return await world.until(f"the card of {operation} with {words}", probe, timeout_s=timeout_s)


async def ended(world: World, operation: str, *, timeout_s: float = 60.0) -> Message:
    """Wait until the operation's card shows one of the final words."""

    async def probe() -> Message | None:
        fitting = [m for m in await cards_of(world, operation) if any(w in m.text.split("\n", 1)[0] for w in ENDED)]
        return fitting[-1] if fitting else None

    return await world.until(f"the end of {operation}", probe, timeout_s=timeout_s)


async def cards_of(world: World, operation: str) -> list[Message]:
    """Every message of the channel that is this operation's card (one-line notices are not)."""
    return [m for m in await world.messages() if m.operation == operation and m.raw["raw"].get("flags", 0) & (1 << 15)]


async def live_commit(world: World, environment: str) -> str:
    return str((await world.health(environment))["commit"])


async def mark(world: World, part: str) -> int:
    """The number of the part's newest request; `requests(part, after=...)` gives what came since."""
    requests = await world.requests(part)
    return int(requests[-1]["n"]) if requests else 0
