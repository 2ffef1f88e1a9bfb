"""Secrets planted where a bot meets them come out nowhere: not in a message, a log line, a row or any column.

The world's own tokens stand in the bot's environment. They, and others of well-known shapes, are also printed by the
service on the host, written into commits, typed into options and forms, and put into the configuration by mistake.
Looked through are the bytes of the whole state directory (write-ahead log included), the bot's log, and everything
that any member can read.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.story.steps import asked, card_of, ended, green, new_commit
from tests.story.test_failures import GOOD_START
from tests.story.world_driver import World

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCanary"
SHAPED = {
    "a GitHub token": "ghp_CanaryCanaryCanaryCanaryCanary123456",
    "a fine-grained GitHub token": "github_pat_11CANARY0Canary_CanaryCanaryCanaryCanary",
    "an AWS key id": "AKIACANARYCANARY1234",
    "a bearer token": "CanaryBearer.abcdefghijklmnop",
    "a Discord token": "MTE0Canary0Canary0Canary.GxCana.ryCanaryCanaryCanaryCanaryCanary12",
    "a password in an address": "canary-password-7f3a",
    "an AWS secret": "CanarySecretKey/abcdefghijklmnopqrstuvwx",
    "a signature": "ca9a47ca9a47ca9a47ca9a47ca9a47ca9a47",
    "a private key": BODY,
}
WRITTEN = (
    "token {a GitHub token} and {a fine-grained GitHub token}",
    "AWS_ACCESS_KEY_ID={an AWS key id} AWS_SECRET_ACCESS_KEY={an AWS secret}",
    "Authorization: Bearer {a bearer token}",
    "discord {a Discord token}",
    "postgres://app:{a password in an address}@db.internal/app",
    "GET /x?X-Amz-Signature={a signature}",
)
SAID = tuple(line.format_map(SHAPED) for line in WRITTEN)
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{BODY}\n-----END RSA PRIVATE KEY-----"


def own_secrets(world: World) -> dict[str, str]:
    """What the bot's environment holds, by the file that the world writes for its owner."""
    lines = (world.home / "quarterdeck.env").read_text(encoding="utf-8").splitlines()
    variables = dict(line.split("=", 1) for line in lines)
    named = ("QUARTERDECK_DISCORD_TOKEN", "QUARTERDECK_GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY")
    return {name: variables[name] for name in named}


async def readable(world: World) -> Iterator[tuple[str, str]]:
    """Everything that somebody can read in Discord, with a name for it."""
    state = await world.state()
    found = []
    for channel in state["channels"]:
        for member in state["members"]:
            for message in await world.messages(channel["name"], user=member["name"], limit=100):
                found.append((f"#{channel['name']} for {member['name']}", str(message.raw)))
    return iter(found)


def on_disk(world: World) -> Iterator[tuple[str, bytes]]:
    """The bot's log, and every file of its state directory."""
    yield "bot.log", (world.home / "bot.log").read_bytes()
    for path in sorted((world.home / "state").rglob("*")):
        if path.is_file():
            yield str(path.relative_to(world.home)), path.read_bytes()


async def leaks(world: World, secrets: dict[str, str]) -> list[str]:
    found = [
        f"{name} in {where}"
        for where, text in await readable(world)
        for name, secret in secrets.items()
        if secret in text
    ]
    for where, content in on_disk(world):
        found += [f"{name} in {where}" for name, secret in secrets.items() if secret.encode() in content]
    return found


async def test_no_planted_secret_comes_out_anywhere(fresh_world: World):
    world = fresh_world
    secrets = {**SHAPED, **own_secrets(world)}
    said = [*SAID, *(f"{name}={value}" for name, value in own_secrets(world).items())]
    assert await leaks(world, secrets) == []

    await by_commits_and_output(world, said)
    await by_people(world, said)
    await by_configuration(world, secrets)

    names = {path for path, _ in on_disk(world)}
    assert any(Path(name).suffix == ".sqlite3" for name in names), names
    assert any("[redacted]" in text for _, text in await readable(world)), "nothing was shown, so nothing was proved"
    assert sorted(set(await leaks(world, secrets))) == []


async def by_commits_and_output(world: World, said: list[str]) -> None:
    """A service that prints them and dies, from a commit that has one in its title."""
    printed = [*said, *KEY.splitlines()]
    source = f"import sys\nfor line in {printed!r}:\n    print(line, file=sys.stderr)\nraise SystemExit(3)\n"
    await green(world, await new_commit(world, files={"app/__main__.py": source}, title=f"Use {said[0]}"))
    card = await ended(world, await asked(world, "dev", "dev"), timeout_s=90)
    assert "failed" in card.text
    await world.settle(await world.press("dev", card, "Log"))
    await world.push({"app/__main__.py": GOOD_START}, f"Mend the start with {said[0]}")
    await world.ask("dev", "history", service="app")
    await world.suggest("dev", "deploy", "ref", "", service="app")


async def by_people(world: World, said: list[str]) -> None:
    """Typed into options and into a form, taken over into the record."""
    for text in said:
        await world.ask("dev", "deploy", service="app", environment="dev", ref=text)
        await world.ask("dev", "ops show", operation=text)
    await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod")
    card = await card_of(world, operation, "waiting")
    denied = await world.settle(await world.press("sre", card, "Deny…"))
    field = denied.modal["fields"][0]["custom_id"]
    await world.settle(await world.submit("sre", denied.id, {field: " ".join(said)[:500]}))
    await ended(world, operation)
    await world.ask("sre", "audit")
    await world.ask("sre", "audit", export="csv")


async def by_configuration(world: World, secrets: dict[str, str]) -> None:
    """A token where none belongs is refused, and the refusal does not repeat it."""
    toml = (await world.get("/config"))["toml"]
    await world.put_config(patch={"discord": {"token": secrets["a Discord token"]}})

    async def refused() -> bool:
        return "token" in world.bot_log_tail(20)

    await world.until("the bot to refuse the configuration", refused)
    await world.reconfigure(toml=toml)
    await world.ask("dev", "status")
