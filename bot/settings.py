"""The configuration: one TOML file for everything that may be read by everybody, the environment for secrets.

Frozen once loaded. Values are checked here, so that nothing further in has to ask whether they make sense; what the
outside says about them (does the channel exist?) is the doctor's business.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, HttpUrl, SecretStr, ValidationError, model_validator

from bot.alert_settings import AlertSettings, MetricsSettings
from bot.db import DATABASE_NAME
from bot.errors import Misconfigured
from bot.policy import AT_ONCE, CONFIGURABLE, CONTROL, Action, PolicyRow, seeded_rows
from bot.sections import Name, Section, Snowflake

SECRETS: Mapping[str, str] = {
    "discord_token": "QUARTERDECK_DISCORD_TOKEN",
    "github_token": "QUARTERDECK_GITHUB_TOKEN",
}
"""Which environment variable brings which secret. AWS credentials come by the AWS SDK's own chain."""

SECTION_SECRETS: Mapping[str, tuple[str, str]] = {
    "alertmanager_token": ("alerts", "QUARTERDECK_ALERTMANAGER_TOKEN"),
}
"""Secrets that are needed only where the file has the section that is named first."""

AWS_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Variables of the AWS SDK's chain whose values are secrets."""

ENDPOINT_OVERRIDES = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_ECR",
    "AWS_ENDPOINT_URL_STS",
    "GITHUB_API_URL",
)
"""Variables that would silently send a real bot elsewhere: `run` refuses one that the file does not name."""

SANDBOX_TOKEN_MARK = ".SANDBX."  # noqa: S105 - the mark by which a sandbox's token is known
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
TRIAL_MARK = "SANDBOX"
"""What the trial profile writes on everything that it shows: real people see it, and nothing behind it is real."""


class DiscordSettings(Section):
    """Which guild and channels. `api_url` and `gateway_url` only point a bot at a sandbox."""

    guild_id: Snowflake
    application_id: Snowflake | None = None
    channels: dict[Name, Snowflake]
    roles: dict[Name, Snowflake]
    api_url: HttpUrl | None = None
    gateway_url: str = ""
    guild_ready_timeout_s: float = Field(default=2.0, ge=0.05, le=30)
    nonce_doubt_s: float = Field(default=120, ge=1, le=120)


class GithubSettings(Section):
    """The repository that holds the services, and the one workflow that the bot dispatches."""

    repository: str = Field(pattern=r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$")
    workflow: str = Field(default="build-image.yml", pattern=r"^[A-Za-z0-9._-]+\.ya?ml$")
    default_branch: str = "main"
    api_url: HttpUrl = HttpUrl("https://api.github.com")
    poll_s: float = Field(default=3.0, ge=0.2, le=60)
    watch_s: float = Field(default=60.0, ge=2, le=3600)
    write_pause_s: float = Field(default=1.0, ge=0, le=10)
    build_timeout_s: float = Field(default=1800, ge=10)


class AwsSettings(Section):
    """Region and documents. Credentials come from the SDK's own chain, never from this file."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    account: str = Field(pattern=r"^\d{12}$")
    endpoint_url: HttpUrl | None = None
    deploy_document: str = "quarterdeck-deploy"
    status_document: str = "quarterdeck-status"
    poll_s: float = Field(default=2.0, ge=0.2, le=60)
    rollout_timeout_s: int = Field(default=600, ge=30, le=172800)


class EnvironmentSettings(Section):
    """One environment: where it runs, which refs may go there, where its cards are shown."""

    instance_id: str = Field(pattern=r"^i-[0-9a-f]{8,17}$")
    channel: Name = "ops"
    refs: tuple[str, ...] = ("main",)
    default_ref: str = "main"
    require_checks: bool = True
    """Whether only commits whose checks have all passed may go here."""
    follows: Name | None = None
    """The environment whose running version is this one's default (`prod` follows `dev`)."""


class ServiceSettings(Section):
    """One deployable component: the paths it is built from, its image repository, where it answers."""

    paths: tuple[str, ...] = Field(min_length=1)
    image_repository: str = Field(pattern=r"^[a-z0-9][a-z0-9._/-]{1,255}$")
    urls: dict[Name, HttpUrl] = Field(default_factory=dict)
    deployable: bool = True
    not_deployable_reason: str = ""


class PersonSettings(Section):
    """One person: the accounts that are the same human, and the duties that hold even when Discord cannot be asked."""

    name: Name
    discord_id: Snowflake
    github: str = ""
    os_user: str = ""
    duties: tuple[Name, ...] = ()


class PolicySettings(Section):
    """One row of the policy as written in the file."""

    action: Action
    environment: Name | Literal["*"] = "*"
    requesters: tuple[Name | Literal["*"], ...]
    approvers: tuple[Name, ...] = ()
    quorum: int = Field(default=0, ge=0, le=5)
    self_approval: bool = False
    verified_alone: bool = False
    expires_s: int = Field(default=8 * 3600, ge=60)

    def row(self) -> PolicyRow:
        return PolicyRow(**self.model_dump())


class LimitSettings(Section):
    """How long things may wait."""

    approved_to_start_s: int = Field(default=15 * 60, ge=10)
    lease_s: int = Field(default=30, ge=5)
    cancel_confirm_s: int = Field(default=60, ge=5)
    concurrency: int = Field(default=8, ge=1, le=64)


class BackupSettings(Section):
    """Copies of the database by schedule. `every_h` divides a day, so that they fall on the same hours."""

    directory: Path | None = None
    every_h: Literal[1, 2, 3, 4, 6, 8, 12, 24] = 6
    keep: int = Field(default=28, ge=1, le=10_000)


class RetentionSettings(Section):
    """How many days rows are kept; operations themselves, and all that is of an open one, are kept for ever."""

    events_days: int = Field(default=400, ge=1)
    handles_days: int = Field(default=90, ge=1)
    cards_days: int = Field(default=90, ge=1)
    runs_days: int = Field(default=90, ge=1)
    logs_days: int = Field(default=90, ge=1)
    payloads_days: int = Field(default=30, ge=1)
    alerts_days: int = Field(default=400, ge=1)


class Settings(Section):
    """The whole tree."""

    profile: Literal["live", "sandbox", "trial"] = "live"
    """`trial`: a real Discord, and everything else from a sandbox."""
    state_dir: Path
    cogs: tuple[Name, ...] = (
        "deploy", "status", "audit", "ops", "control", "metrics", "alerts", "silence", "maintenance", "oncall", "about",
    )  # fmt: skip
    link_hosts: tuple[str, ...] = ("github.com",)
    health_port: int = Field(default=8081, ge=0, le=65535)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    seed_file: Path | None = None
    discord: DiscordSettings
    github: GithubSettings
    aws: AwsSettings
    environments: dict[Name, EnvironmentSettings]
    services: dict[Name, ServiceSettings]
    people: tuple[PersonSettings, ...] = ()
    policy: tuple[PolicySettings, ...] = ()
    limits: LimitSettings = LimitSettings()
    backup: BackupSettings = BackupSettings()
    retention: RetentionSettings = RetentionSettings()
    alerts: AlertSettings | None = None
    metrics: MetricsSettings | None = None
    discord_token: SecretStr = SecretStr("")
    github_token: SecretStr = SecretStr("")
    alertmanager_token: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        """Every name that one part of the file uses is defined in another."""
        for name, environment in self.environments.items():
            if environment.channel not in self.discord.channels:
                raise ValueError(
                    f"environments.{name}.channel is {environment.channel!r}, which discord.channels does not list"
                )
            if environment.follows is not None and environment.follows not in self.environments:
                raise ValueError(f"environments.{name}.follows is {environment.follows!r}, which is no environment")
        for name, service in self.services.items():
            for place, url in service.urls.items():
                if url.username or url.password:
                    raise ValueError(f"services.{name}.urls.{place} holds a user or password: take them out")
                if place not in self.environments:
                    raise ValueError(f"services.{name}.urls names {place!r}, which is no environment")
        for number, row in enumerate(self.policy, 1):
            if row.action not in CONFIGURABLE:
                raise ValueError(f"policy row {number} is about {row.action}, which follows from the other rows")
            if row.action in AT_ONCE and (row.quorum or row.approvers):
                raise ValueError(f"policy row {number}: {row.action} happens at once, so nobody can approve it before")
            for role in (*row.requesters, *row.approvers):
                if role != "*" and role not in self.discord.roles:
                    raise ValueError(f"policy row {number} names the role {role!r}, which discord.roles does not list")
            if row.environment not in ("*", CONTROL) and row.environment not in self.environments:
                raise ValueError(f"policy row {number} names the environment {row.environment!r}, which does not exist")
        for fault in self._unknown_names_of_alerts():
            raise ValueError(fault)
        if CONTROL in self.environments:
            raise ValueError(f"environments.{CONTROL}: that name is built in, for the bot, its policy and its people")
        if not self.environments:
            raise ValueError("environments is empty: there is nowhere to deploy to")
        if not self.services:
            raise ValueError("services is empty: there is nothing to deploy")
        if not self.discord.roles:
            raise ValueError("discord.roles is empty: nobody could do anything")
        for needed in ("ops", "audit"):
            if needed not in self.discord.channels:
                raise ValueError(f"discord.channels lacks {needed!r}")
        return self

    def _unknown_names_of_alerts(self) -> Iterator[str]:
        if self.alerts is not None:
            people = {person.name for person in self.people}
            yield from self.alerts.unknown_names(
                channels=self.discord.channels, roles=self.discord.roles, people=people
            )

    @property
    def policy_rows(self) -> tuple[PolicyRow, ...]:
        """The rows that apply: the file's own, or the seeded ones when it has none."""
        return tuple(row.row() for row in self.policy) or seeded_rows()

    @property
    def mark(self) -> str:
        """The word that every card, answer and presence bears; empty where none is needed."""
        return TRIAL_MARK if self.profile == "trial" else ""

    @property
    def database_file(self) -> Path:
        return self.state_dir / DATABASE_NAME

    @property
    def backup_directory(self) -> Path:
        return self.backup.directory or self.state_dir / "backups"


def secret_values(settings: Settings, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Everything that may be shown nowhere: the tokens, and the AWS credentials that the environment brings."""
    environ = os.environ if environ is None else environ
    secrets = (settings.discord_token, settings.github_token, settings.alertmanager_token)
    tokens = (secret.get_secret_value() for secret in secrets if secret.get_secret_value())
    return (*tokens, *(environ[name] for name in AWS_SECRETS if environ.get(name)))


def load(path: Path, environ: Mapping[str, str] | None = None, *, secrets: bool = True) -> Settings:
    """Read the file and the secrets; without them (`secrets=False`) only for what asks nobody outside.

    Raises:
        Misconfigured: missing, malformed or contradictory; the sentence names the place and the mend.
    """
    return parse(read_text(path), path, environ, secrets=secrets)


def parse(text: str, path: Path, environ: Mapping[str, str] | None = None, *, secrets: bool = True) -> Settings:
    """The settings that this text of the file makes, with the secrets.

    Raises:
        Misconfigured: as for `load`.
    """
    environ = os.environ if environ is None else environ
    document = _document(text, path)
    of_sections = {field: variable for field, (_, variable) in SECTION_SECRETS.items()}
    for field, variable in {**SECRETS, **of_sections}.items():
        if field in document:
            raise Misconfigured(f"{path}: {field} is a secret: take it out of the file and set {variable} instead.")
        if not secrets or (field in of_sections and SECTION_SECRETS[field][0] not in document):
            continue
        if not environ.get(variable):
            raise Misconfigured(f"The secret {variable} is not set in the environment.", hint=f"export {variable}=...")
        document[field] = environ[variable]
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise Misconfigured(f"{path}: {_first_fault(error)}") from error
    if secrets:
        _refuse_mixed_worlds(settings, environ)
    return settings


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        Misconfigured: it is not there, or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Misconfigured(
            f"There is no configuration file at {path}.", hint="Copy the example from the README."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}.") from error


def _document(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path} is not valid TOML: {error}.") from error


def _first_fault(error: ValidationError) -> str:
    """The first fault in one sentence; the input's value is left out, it might be a secret."""
    fault = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    more = error.error_count() - 1
    message = re.sub(r"^Value error, ", "", fault["msg"])
    return f"{place}: {message}" * bool(place) + message * (not place) + (f" (and {more} more)." if more else ".")


def _refuse_mixed_worlds(settings: Settings, environ: Mapping[str, str]) -> None:
    sandboxed = SANDBOX_TOKEN_MARK in settings.discord_token.get_secret_value()
    if settings.profile == "trial":
        _refuse_half_a_trial(settings, environ, sandboxed=sandboxed)
    elif settings.profile == "live":
        if sandboxed:
            raise Misconfigured("QUARTERDECK_DISCORD_TOKEN is a sandbox's token; a live bot needs the real one.")
        if settings.discord.api_url or settings.discord.gateway_url:
            raise Misconfigured("discord.api_url and discord.gateway_url are only for a sandbox.")
        _refuse_overrides(environ)
    elif not sandboxed:
        raise Misconfigured(
            "The sandbox profile takes only a sandbox's token; a real one must never meet a fake Discord."
        )


def _refuse_half_a_trial(settings: Settings, environ: Mapping[str, str], *, sandboxed: bool) -> None:
    """A trial: everything on this machine but Discord. A real token meets the real Discord, a sandbox's a sandbox's.

    Raises:
        Misconfigured: the one or the other is mixed up.
    """
    addresses = {
        "github.api_url": str(settings.github.api_url),
        "aws.endpoint_url": str(settings.aws.endpoint_url or ""),
    }
    if settings.alerts is not None:
        urls = enumerate(settings.alerts.alertmanagers)
        addresses |= {f"alerts.alertmanagers.{number}": str(url) for number, url in urls}
    if settings.metrics is not None:
        addresses["metrics.url"] = str(settings.metrics.url)
    if chat := bool(settings.discord.api_url or settings.discord.gateway_url):
        addresses |= {
            "discord.api_url": str(settings.discord.api_url or ""),
            "discord.gateway_url": settings.discord.gateway_url,
        }
    for place, address in addresses.items():
        if urlsplit(address).hostname not in LOOPBACK_HOSTS:
            raise Misconfigured(f"{place} must be an address on this machine: a trial brings everything but Discord.")
    if chat and not sandboxed:
        raise Misconfigured("discord.api_url points to a sandbox; a real token must never meet a fake Discord.")
    if sandboxed and not chat:
        raise Misconfigured("QUARTERDECK_DISCORD_TOKEN is a sandbox's token; a trial needs the real one.")
    _refuse_overrides(environ)


def _refuse_overrides(environ: Mapping[str, str]) -> None:
    for name in ENDPOINT_OVERRIDES:
        if environ.get(name):
            raise Misconfigured(
                f"{name} is set and would send the bot elsewhere; unset it, or name the endpoint in the file."
            )
