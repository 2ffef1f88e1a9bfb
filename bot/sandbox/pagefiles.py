"""The page's files, and the headers that keep a browser from doing more with them than is meant.

The files are read from one folder, by name; nothing else on the disk can be reached.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from aiohttp import hdrs, web

from bot.sandbox.wire import Missing

TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
PLACEHOLDER = "The page is not built yet; the control API answers under /control/v1.\n"


class Addresses(Protocol):
    """Who knows where attachments are served from."""

    def attachments_origin(self) -> str:
        """An origin such as `http://127.0.0.1:40001`, empty while unknown."""


class PageFiles:
    """Serves the files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    async def index(self, _request: web.Request) -> web.StreamResponse:
        path = self._folder / "index.html"
        return self._serve(path) if path.is_file() else web.Response(text=PLACEHOLDER)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """One file below the folder.

        Raises:
            Missing: there is none of that name, or of a kind that a page has no use for.
        """
        path = (self._folder / request.match_info["path"]).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file() or path.suffix not in TYPES:
            raise Missing(f"The page has no file {request.path[:200]}.")
        return self._serve(path)

    def _serve(self, path: Path) -> web.StreamResponse:
        return web.FileResponse(path, headers={"Content-Type": TYPES[path.suffix], "Cache-Control": "no-cache"})


def security_headers(addresses: Addresses) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """An `on_response_prepare` signal that puts the headers on every answer of the port, also on refusals."""

    async def add(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_headers(addresses.attachments_origin()))
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")

    return add


def _headers(attachments: str) -> dict[str, str]:
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; "
        f"img-src 'self' data: {attachments}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
