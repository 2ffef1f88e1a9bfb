"""What the service is told from outside: environment variables in, one frozen `Settings` out.

Every value is checked here, once, before a socket is opened, so that no other room meets a bad one. Nothing here
reads files or has defaults that differ between machines.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LOG_LEVELS = ("debug", "info", "warning", "error")
UNKNOWN = "unknown"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - see below
"""All addresses: inside a container, the published port decides who may connect."""
TEAM_LENGTH_MAX = 80

_COMMIT = re.compile(r"[0-9a-f]{7,64}")


class BadSetting(ValueError):
    """A variable that cannot be used; the text is one sentence that names it and says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The service's settings; see `app/README.md` for what each variable means."""

    host: str
    port: int
    team: str
    timezone: ZoneInfo
    commit: str
    built_from: str
    drain_s: float
    idle_grace_s: float
    log_level: str
    metrics_token: str = field(repr=False)


def from_environment(environ: Mapping[str, str]) -> Settings:
    """The settings that these variables ask for; an empty variable counts as absent.

    Raises:
        BadSetting: for the first variable that cannot be used.
    """
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    return Settings(
        host=given.get("HOST", EVERYWHERE),
        port=_port(given.get("PORT", "8080")),
        team=_team(given.get("APP_TEAM", "Quarterdeck")),
        timezone=_timezone(given.get("APP_TIMEZONE", "UTC")),
        commit=_commit("APP_COMMIT", given.get("APP_COMMIT", UNKNOWN)),
        built_from=_commit("APP_BUILT_FROM", given.get("APP_BUILT_FROM", UNKNOWN)),
        drain_s=_seconds("APP_DRAIN_S", given.get("APP_DRAIN_S", "30"), most=600),
        idle_grace_s=_seconds("APP_IDLE_GRACE_S", given.get("APP_IDLE_GRACE_S", "5"), most=600),
        log_level=_log_level(given.get("APP_LOG_LEVEL", "info")),
        metrics_token=_token(given.get("APP_METRICS_TOKEN", "")),
    )


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise BadSetting(f"PORT must be a whole number from 0 (any free port) to 65535, not {text!r}.")
    return int(text)


def _team(text: str) -> str:
    if len(text) > TEAM_LENGTH_MAX or not text.isprintable():
        raise BadSetting(f"APP_TEAM must be one printable line of at most {TEAM_LENGTH_MAX} characters.")
    return text


def _timezone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadSetting(f"APP_TIMEZONE must be a zone such as Europe/Berlin or UTC, not {text!r}.") from error


def _commit(name: str, text: str) -> str:
    if text != UNKNOWN and not _COMMIT.fullmatch(text):
        raise BadSetting(f"{name} must be a git commit (7 to 64 lower-case hexadecimal digits), not {text!r}.")
    return text


def _seconds(name: str, text: str, *, most: float) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= most:
        raise BadSetting(f"{name} must be a number of seconds from 0 to {most:g}, not {text!r}.")
    return seconds


def _log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise BadSetting(f"APP_LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}, not {text!r}.")
    return text.lower()


def _token(text: str) -> str:
    if text and (len(text) < 16 or not text.isascii() or not text.isprintable()):
        raise BadSetting("APP_METRICS_TOKEN must be at least 16 printable ASCII characters.")
    return text
