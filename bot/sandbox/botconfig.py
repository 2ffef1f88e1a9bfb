"""Writes what the bot is started with: its TOML file in the world's home, and the environment that carries its secrets.

The file has the same form as the one of a real installation and no secret in it. This room only writes; what the
values mean is the bot's business, which is why nothing of the bot is imported here.
"""

import os
import pwd
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.sandbox import cast
from bot.sandbox.host.machine_files import write_private
from bot.sandbox.monitoring import botsections
from bot.sandbox.monitoring.botsections import MonitoringAddresses, Names
from bot.sandbox.own_discord import OwnDiscord
from bot.sandbox.wire import Rejected

Document = dict[str, Any]

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "app": ("Dockerfile", "app", "locks/app.txt"),
    "bot": ("Dockerfile", "bot", "cogs", "locks/bot.txt", "pyproject.toml"),
}
"""The paths that each component is built from."""
ENVIRONMENTS = ("dev", "prod")
DEPLOYED = "app"
"""The service that the world's host runs from the start."""
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "VIRTUAL_ENV", "PYTHONPATH")
"""Variables that the bot's process takes over; everything else, real credentials above all, stays outside."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the parts of this world answer, and what they called the things that the bot must name."""

    discord_api: str
    """Of the Discord part, as the gateway is; both empty for a person's own Discord."""
    discord_gateway: str
    github_api: str
    aws: str
    instances: Mapping[str, str]
    service_urls: Mapping[str, str]
    monitoring: MonitoringAddresses | None = None
    """Where alerts come in and are asked for; None: the bot knows nothing of alerts."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The world's own random tokens; they open nothing outside it."""

    discord_token: str
    github_token: str
    aws_key: tuple[str, str]
    alertmanager_token: str = ""


def compose(endpoints: Endpoints, *, home: Path, own: OwnDiscord | None = None, health_port: int = 0) -> Document:
    """The whole configuration of the bot in this world; with an own Discord its guild, and its people."""
    return {
        "profile": "trial" if own else "sandbox",
        "state_dir": str(home / "state"),
        "seed_file": str(home / "seed.jsonl"),
        "health_port": health_port,
        "link_hosts": ["github.com", "127.0.0.1"],
        "discord": _own_guild(own) if own else _guild(endpoints),
        "github": {
            "repository": cast.GITHUB_REPOSITORY,
            "api_url": endpoints.github_api,
            "workflow": "build-image.yml",
            "default_branch": "main",
            "poll_s": 0.5,
            "watch_s": 4.0,
            "write_pause_s": 0.1,
        },
        "aws": {
            "region": cast.AWS_REGION,
            "account": cast.AWS_ACCOUNT,
            "endpoint_url": endpoints.aws,
            "poll_s": 0.5,
        },
        "environments": _environments(endpoints.instances),
        "services": _services(endpoints.service_urls),
        "people": _own_people(own) if own else _people(),
        **_monitoring(endpoints.monitoring, own),
    }


def _monitoring(addresses: MonitoringAddresses | None, own: OwnDiscord | None) -> Document:
    """The sections about alerts and metrics, as far as this world has what they speak of."""
    if addresses is None:
        return {}
    if own:
        names = Names(own.channels, own.roles, [str(one["name"]) for one in own.people])
    else:
        names = Names(cast.CHANNELS, cast.ROLES, [person.name for person in cast.PEOPLE])
    sections = {"alerts": botsections.alerts(addresses, names)}
    return sections | ({"metrics": botsections.metrics(addresses)} if addresses.prometheus else {})


def _guild(endpoints: Endpoints) -> Document:
    return {
        "guild_id": cast.GUILD_ID,
        "application_id": cast.APPLICATION_ID,
        "api_url": endpoints.discord_api,
        "gateway_url": endpoints.discord_gateway,
        "guild_ready_timeout_s": 0.05,
        "channels": dict(cast.CHANNELS),
        "roles": dict(cast.ROLES),
    }


def _own_guild(own: OwnDiscord) -> Document:
    """The person's guild; addresses only where another sandbox stands for Discord."""
    addresses = {}
    if own.sandboxed is not None:
        addresses = {"api_url": own.sandboxed.api_url, "gateway_url": own.sandboxed.gateway_url}
    return {
        "guild_id": own.guild_id,
        "application_id": own.application_id,
        "channels": dict(own.channels),
        "roles": dict(own.roles),
        **addresses,
    }


def _people() -> list[Document]:
    return [
        {"name": person.name, "discord_id": person.id, "github": person.github, "duties": list(person.roles)}
        | ({"os_user": user_of_the_host()} if person.name == cast.ON_CALL else {})
        for person in cast.PEOPLE
    ]


def _own_people(own: OwnDiscord) -> list[Document]:
    """The people whom the person named; whoever of them has no other user sits at this machine, the first one."""
    taken = user_of_the_host() in (one["os_user"] for one in own.people)
    return [
        {"name": one["name"], "discord_id": one["discord_id"], "duties": list(one["duties"])}
        | {"os_user": one["os_user"] or ("" if number or taken else user_of_the_host())}
        for number, one in enumerate(own.people)
    ]


def _environments(instances: Mapping[str, str]) -> Document:
    """Dev takes any branch, tested or not; prod what is on main, passed its checks, and by default runs in dev."""
    dev = {"channel": "ops", "refs": ["*"], "default_ref": "main", "require_checks": False}
    prod = {"channel": "ops", "refs": ["main"], "follows": "dev", "require_checks": True}
    return {"dev": {"instance_id": instances["dev"], **dev}, "prod": {"instance_id": instances["prod"], **prod}}


def _services(urls: Mapping[str, str]) -> Document:
    return {
        "app": {"paths": list(COMPONENTS["app"]), "image_repository": "app", "urls": dict(urls)},
        "bot": {
            "paths": list(COMPONENTS["bot"]),
            "image_repository": "bot",
            "deployable": False,
            "not_deployable_reason": "The bot does not deploy itself yet.",
        },
    }


def user_of_the_host() -> str:
    """Who runs this world: at the command line that user is the person on call."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def environment(secrets: Secrets, *, page_url: str) -> dict[str, str]:
    """The environment of the bot's process: a few harmless variables of ours and this world's secrets."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    access_key, secret_key = secrets.aws_key
    return inherited | {
        "PYTHONUNBUFFERED": "1",
        "QUARTERDECK_SANDBOX": page_url,
        "QUARTERDECK_DISCORD_TOKEN": secrets.discord_token,
        "QUARTERDECK_GITHUB_TOKEN": secrets.github_token,
        **({"QUARTERDECK_ALERTMANAGER_TOKEN": secrets.alertmanager_token} if secrets.alertmanager_token else {}),
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def write_environment_file(path: Path, environ: Mapping[str, str]) -> None:
    """Write this world's secrets down, for its owner alone, so that commands on the host can be tried with them."""
    told = (f"{name}={value}\n" for name, value in environ.items() if name.startswith(("QUARTERDECK_", "AWS_")))
    write_private(path, "".join(told))


class ConfigFile:
    """The file that the bot reads, and the one way in which the control API changes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, document: Document) -> None:
        self.write_text(dumps(document))

    def write_text(self, text: str) -> None:
        """Replace the file in one step, so that the bot never reads half of it."""
        draft = self.path.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.path)

    def text(self) -> str:
        """The present file.

        Raises:
            Rejected: the world has not written it yet.
        """
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise Rejected("The bot's configuration is not written yet: the world is still starting.") from None

    def patch(self, change: Document) -> None:
        """Merge a change in: tables are merged key by key, everything else is replaced, null takes a key out.

        Raises:
            Rejected: the present file is not valid TOML, or the change holds what TOML cannot say.
        """
        try:
            present = tomllib.loads(self.text())
        except tomllib.TOMLDecodeError as error:
            raise Rejected(f"The present configuration is not valid TOML ({error}): send a whole one.") from None
        self.write(merge(present, change))


def merge(present: Document, change: Document) -> Document:
    """The document after the change; neither argument is altered."""
    merged = dict(present)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            old = merged.get(key)
            merged[key] = merge(old if isinstance(old, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def dumps(document: Document) -> str:
    """The document as TOML: plain values first, then each table, and each list of tables, under headings of their own.

    Raises:
        Rejected: a value is of a kind that TOML does not have.
    """
    return "\n".join(_lines(document, ())).strip() + "\n"


def _lines(table: Document, path: tuple[str, ...]) -> list[str]:
    plain = {key: value for key, value in table.items() if not (_is_table(value) or _is_tables(value))}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in table.items():
        inner = (*path, key)
        if _is_table(value):
            lines += _headed(f"[{_dotted(inner)}]", value, inner)
        elif _is_tables(value):
            lines += [line for item in value for line in _headed(f"[[{_dotted(inner)}]]", item, inner)]
    return lines


def _headed(heading: str, table: Document, path: tuple[str, ...]) -> list[str]:
    return ["", heading, *_lines(table, path)]


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(_key(part) for part in path)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else _value(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(_escaped(character) for character in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    raise Rejected(f"TOML has no {type(value).__name__}: {value!r} cannot be written into the configuration.")


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
