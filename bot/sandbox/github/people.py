"""Who is who on this GitHub: the seeded team's logins, the bot's, and what git's free author text amounts to."""

import re
import zlib
from datetime import datetime
from typing import Any

from bot.sandbox.cast import GITHUB_REPOSITORY, PEOPLE
from bot.sandbox.github.repository import Signature

BOT_LOGIN = "quarterdeck-bot"
OWNER = GITHUB_REPOSITORY.split("/", 1)[0]
NOREPLY = re.compile(r"(?:\d+\+)?([A-Za-z0-9-]{1,39})@users\.noreply\.github\.com")
LOGINS = {person.name: person.github for person in PEOPLE}
KNOWN = frozenset(LOGINS.values()) | {BOT_LOGIN}


def user_id(login: str) -> int:
    """Stable, made from the login."""
    return 10_000_000 + zlib.crc32(login.encode()) % 200_000_000


def noreply(login: str) -> str:
    """The address under which GitHub lets a login commit without showing another."""
    return f"{user_id(login)}+{login}@users.noreply.github.com"


def signature(author: str, at: datetime) -> Signature:
    """Git's author line for a member's name, a login, or foreign text, which gets an address that no login owns."""
    login = LOGINS.get(author, author)
    if login in KNOWN:
        return Signature(login, noreply(login), at)
    name = "".join(c for c in author if c.isprintable() and c not in "<>").strip()
    return Signature(name or "unknown", "unknown@example.invalid", at)


def login_of(email: str) -> str | None:
    """The login that GitHub shows for a commit's address; None when it belongs to nobody."""
    found = NOREPLY.fullmatch(email)
    return found.group(1) if found and found.group(1) in KNOWN else None


def user(base: str, login: str) -> dict[str, Any]:
    """A user in GitHub's short form."""
    url = f"{base}/users/{login}"
    lists = {f"{name}_url": f"{url}/{name}" for name in ("followers", "subscriptions", "repos", "received_events")}
    return lists | {
        "login": login,
        "id": user_id(login),
        "node_id": f"U_{user_id(login)}",
        "avatar_url": f"{base}/avatars/{login}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{base}/{login}",
        "following_url": f"{url}/following{{/other_user}}",
        "gists_url": f"{url}/gists{{/gist_id}}",
        "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
        "organizations_url": f"{url}/orgs",
        "events_url": f"{url}/events{{/privacy}}",
        "type": "Organization" if login == OWNER else "User",
        "site_admin": False,
    }


def full_user(base: str, login: str) -> dict[str, Any]:
    """A user as its own address answers."""
    unsaid: dict[str, Any] = dict.fromkeys(("name", "company", "location", "email", "hireable", "bio"))
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    times = {"created_at": "2024-02-01T09:00:00Z", "updated_at": "2026-01-05T08:00:00Z"}
    return user(base, login) | unsaid | counts | times | {"blog": "", "twitter_username": None}
