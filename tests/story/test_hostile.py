"""Hostile texts through every door of the running bot: options, forms, commits, branches, authors, checks, logs.

Whatever comes back is read by `tests.hostile`, which knows Discord's markup and nothing of the bot: the text can be
read, nothing of it takes effect, nobody is pinged by it, and Discord (which checks the limits) has refused no message.
"""

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from tests.hostile import TEXTS, Text, effects, lines_with, plain
from tests.story.steps import asked, card_of, ended, green, mark, new_commit
from tests.story.test_buttons import pick
from tests.story.test_failures import GOOD_START
from tests.story.world_driver import Message, Refusal, Reply, World

HOSTS = ("github.com",)
OURS = (
    r"^\*\*[^*]*\*\*",
    r"^`\d+`",
    r"\*\*(?:Refused|Not possible now)\.\*\*",
    r"\(https://github\.com/[^)\s]*\)",
    r"(?<!\\)\[`?(?:[0-9a-f]{7}|#\d+|[\w ]+)`?\](?=\s|$)",
)
"""The bot's own markup beside foreign text: what begins a line in bold, times, numbers of events, links to GitHub."""
KNOWN = {
    "service": "app",
    "environment": "dev",
    "operation": "1",
    "action": "deploy:run",
    "reason": "because",
    "panel": "cpu",
    "promql": "up",
    "alert": "1",
    "matchers": 'alertname="AppDown"',
    "length": "1h",
    "silence": "1",
    "window": "1",
    "person": "sre",
    "until": "4h",
    "to": "sre",
}
"""What is typed into the other options that a command cannot do without."""
AT_ONCE = 6
OPTION_MAX = 6000
REASON_MAX = 500


def harm(where: str, text: str, hostile: Iterable[Text] = TEXTS) -> list[str]:
    """What of these texts takes effect in a message."""
    return [
        f"{where}, {one.name}: {effect}"
        for one in hostile
        for line in lines_with(text, one)
        for effect in effects(line, hosts=HOSTS, ours=OURS)
    ]


def harm_of(message: Message) -> list[str]:
    """The same of a whole message, with its labels, its links and whom it pings."""
    found = harm(f"message {message.id}", message.text)
    for component in message.raw["components"]:
        found += plain(component.get("label") or "")
        url = component.get("url")
        if url and not url.startswith(("https://github.com/", "http://127.0.0.1:", "https://discord.com/")):
            found.append(f"a link button to {url}")
    pings = message.raw["pings"]
    if pings["everyone"] or (message.ephemeral and any(pings.values())):
        found.append(f"message {message.id} pings {pings}")
    return found


async def in_turns(work: Sequence[Any]) -> list[Any]:
    """Some of them at once, the results in order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job: Any) -> Any:
        async with gate:
            return await job

    return await asyncio.gather(*(one(job) for job in work))


async def refused_messages(world: World, after: int) -> list[str]:
    """Requests of the bot that Discord refused as malformed since then."""
    return [
        f"{r['method']} {r['path']} {r['status']}"
        for r in await world.requests("discord", after=after)
        if r["status"] in (400, 413)
    ]


async def string_options(world: World) -> list[tuple[str, str, dict[str, str]]]:
    """Every option of every command that takes any text: (command, option, values for the other required ones)."""
    found = []
    for command in _leaves((await world.state())["commands"]):
        options = command["options"]
        required = {o["name"]: KNOWN[o["name"]] for o in options if o.get("required")}
        for option in options:
            if option["type"] == 3 and not option.get("choices"):
                others = {name: value for name, value in required.items() if name != option["name"]}
                found.append((command["name"], option["name"], others))
    return found


def _leaves(commands: Iterable[dict[str, Any]], prefix: str = "") -> Iterable[dict[str, Any]]:
    for command in commands:
        name = f"{prefix} {command['name']}".strip()
        inner = [option for option in command.get("options") or () if option["type"] in (1, 2)]
        if inner:
            yield from _leaves(inner, name)
        else:
            yield {"name": name, "options": command.get("options") or []}


async def test_every_option_takes_every_kind_of_text_and_answers_in_letters(world: World):
    before = await mark(world, "discord")
    options = await string_options(world)
    assert len(options) > 12, options
    rounds = max(len(TEXTS), 4 * len(options))
    pairs = [(options[n % len(options)], TEXTS[n % len(TEXTS)]) for n in range(rounds)]
    pairs = list(
        dict.fromkeys((command, option, tuple(others.items()), text) for (command, option, others), text in pairs)
    )

    async def tried(command: str, option: str, others: tuple[tuple[str, str], ...], text: Text) -> Reply | None:
        typed = text.within(OPTION_MAX)
        try:
            return await world.ask("dev", command, **{**dict(others), option: typed})
        except Refusal:  # the picker itself does not take it
            return None

    suggesting = [(name, option, dict(others)) for name, option, others in options]
    suggested = await in_turns([
        suggestions(world, *suggesting[n % len(suggesting)], TEXTS[n % len(TEXTS)]) for n in range(len(TEXTS))
    ])  # fmt: skip
    assert [effect for names in suggested for name in names for effect in plain(name)] == []
    replies = await in_turns([tried(*pair) for pair in pairs])
    answered = [reply for reply in replies if reply is not None]
    assert len(answered) > len(pairs) * 0.9
    assert all(reply.state == "answered" and reply.ephemeral for reply in answered)
    found = [effect for reply in answered for effect in harm("an answer", reply.text)]
    shown = {
        text.name for (_, _, _, text), reply in zip(pairs, replies, strict=True) if reply and text.marker in reply.text
    }
    assert found == []
    assert len(shown) > 10, "no answer shows what was typed, so nothing was proved here"
    assert await refused_messages(world, before) == []


async def suggestions(world: World, command: str, option: str, others: dict[str, str], text: Text) -> list[str]:
    """What is offered while that text is typed; an option without suggestions offers nothing."""
    try:
        choices = await world.suggest("dev", command, option, text.within(100), **others)
    except Refusal:
        return []
    assert len(choices) <= 25
    assert all(1 <= len(choice["name"]) <= 100 for choice in choices)
    return [str(choice["name"]) for choice in choices]


async def test_commit_titles_authors_and_reasons_are_letters_on_cards_in_details_and_in_choices(world: World):
    before = await mark(world, "discord")
    shas = []
    for number, one in enumerate(TEXTS):
        title = one.within(5000)
        files = {"app/CHANGES.md": f"# Changes\n\n- hostile {number} of {world.home.name}\n"}
        shas.append(await world.push(files, title, author="\u202e@everyone **sre**" if number % 2 else "dev"))
    found, seen = [], set[str]()
    for number in range(19, len(shas) + 19, 20):
        await green(world, shas[min(number, len(shas) - 1)])
    for number in range(19, len(shas) + 19, 20):
        last = min(number, len(shas) - 1)
        operation = await asked(world, "dev", "prod", shas[last])
        card = await card_of(world, operation, "waiting")
        details = await pick(world, "dev", card, "Details")
        found += harm_of(card) + harm("details", details.text)
        seen |= {one.name for one in TEXTS if one.marker in card.text + details.text}
        reason = " ".join(one.within(60) for one in TEXTS[last - 7 : last])[:REASON_MAX]
        denied = await world.settle(await world.press("sre", card, "Deny…"))
        field = denied.modal["fields"][0]["custom_id"]
        await world.settle(await world.submit("sre", denied.id, {field: reason}))
        found += harm_of(await ended(world, operation))
    assert found == []
    assert len(seen) > 60, sorted({one.name for one in TEXTS} - seen)
    # Suggestions that cannot be had in time are none; the reading goes on, and the next key finds them.
    await world.until("new commits among choices", lambda: world.suggest("dev", "deploy", "ref", "zq", service="app"))
    chosen = await in_turns([world.suggest("dev", "deploy", "ref", one.marker, service="app") for one in TEXTS[::4]])
    names = [choice["name"] for choice in itertools.chain.from_iterable(chosen)]
    assert sum("zq" in name for name in names) > 2
    assert [effect for name in names for effect in plain(name)] == []
    assert all(len(name) <= 100 for name in names)
    assert [effect for message in await world.messages("audit") for effect in harm_of(message)] == []
    assert await refused_messages(world, before) == []


async def test_branch_names_are_letters(world: World):
    before = await mark(world, "discord")
    head = await green(world, await new_commit(world))
    names = ["__zq29__", "`zq35`", "||zq34||", "<@&4201>zq04", "@everyone-zq00", "zq53\u202etxt", "#zq44", "(zq20)<b>"]
    found = []
    for name in names:
        try:
            await world.github("branch", name=name, sha=head)
        except Refusal:  # git knows no such name
            continue
        refused = await world.ask("dev", "deploy", service="app", environment="prod", ref=name)
        found += harm("a refusal", refused.text)
        assert "zq" in refused.text, refused.text
        choices = await world.suggest("dev", "deploy", "ref", name[:12], service="app")
        found += [effect for choice in choices for effect in plain(choice["name"])]
        await world.github("branch", name=name, sha=None)
    assert found == []
    assert await refused_messages(world, before) == []


async def test_names_of_checks_are_letters(world: World):
    before = await mark(world, "discord")
    sha = await new_commit(world)
    await world.github("checks", sha=sha, conclusion="failure", name=TEXTS[4].text + " " + TEXTS[18].text)
    refused = await world.ask("dev", "deploy", service="app", environment="prod", ref=sha)
    assert harm("a refusal", refused.text) == []
    assert await refused_messages(world, before) == []


async def test_what_a_dying_service_prints_is_letters_on_the_card_and_in_the_log(world: World):
    before = await mark(world, "discord")
    printed = [one.within(600) for one in TEXTS]
    found, seen = [], set[str]()
    try:
        for part in (printed[:26], printed[26:52], printed[52:]):
            source = f"import sys\nfor line in {part!r}:\n    print(line, file=sys.stderr)\nraise SystemExit(3)\n"
            await green(world, await new_commit(world, files={"app/__main__.py": source}, title="Break the start"))
            operation = await asked(world, "dev", "dev")
            card = await ended(world, operation, timeout_s=90)
            assert "failed" in card.text
            log = await world.settle(await world.press("dev", card, "Log"))
            shown = await world.ask("dev", "ops show", operation=operation)
            found += harm_of(card) + harm("the log", log.text) + harm("/ops show", shown.text)
            seen |= {one.name for one in TEXTS if one.marker in card.text + log.text}
    finally:
        await world.push({"app/__main__.py": GOOD_START}, "Mend the start")
    assert found == []
    assert len(seen) > 15, "the logs show too little of what was printed"
    assert await refused_messages(world, before) == []
