"""The front page: `page.html` filled in with the team's name, the build and the time now."""

import base64
import hashlib
import html
import re
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from app.settings import Settings

SHORT_COMMIT_LENGTH = 7


class Page:
    """The page of one running service; only the time differs from one rendering to the next."""

    def __init__(self, settings: Settings, *, version: str) -> None:
        source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
        self._template = Template(source)
        self._zone = settings.timezone
        fixed = {
            "team": settings.team,
            "zone": settings.timezone.key,
            "zone_name": settings.timezone.key.replace("_", " "),
            "version": version,
            "commit": settings.commit[:SHORT_COMMIT_LENGTH],
            "full_commit": settings.commit,
        }
        self._fixed = {name: html.escape(text) for name, text in fixed.items()}
        self.headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Cache-Control": "no-store",
            "Content-Security-Policy": _policy(source),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }

    def render(self, now: datetime | None = None) -> bytes:
        """The page as UTF-8, right at `now` even where no script runs."""
        moment = (now or datetime.now(UTC)).astimezone(self._zone)
        return self._template.substitute(
            self._fixed,
            epoch_ms=int(moment.timestamp() * 1000),
            iso=moment.isoformat(timespec="seconds"),
            clock=f"{moment:%H:%M:%S}",
            date=f"{moment:%A}, {moment.day} {moment:%B %Y}",
        ).encode()


def _policy(source: str) -> str:
    """A policy under which nothing runs but the page's own script and style, named by their hashes."""
    script, style = (_hash(source, tag) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(source: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
    text = found.group(1) if found else ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
