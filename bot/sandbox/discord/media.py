"""Files of messages: taken from a request's form, kept in the world's home, shown on this port's own content routes.

A picture's width and height are read from its first bytes, since clients lay cards out by them.
"""

import asyncio
import json
import mimetypes
import re
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import quote

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError

from bot.sandbox.discord.errors import VIA, DiscordError, Known
from bot.sandbox.discord.forms import Form
from bot.sandbox.discord.snowflakes import Snowflakes, parsed

Json = dict[str, Any]

FILE_LIMIT = 10 * 2**20
REQUEST_LIMIT = 25 * 2**20
FILES_LIMIT = 10
CDN = "/cdn/attachments"
CONTENT_TYPES = "{'application/json', 'multipart/form-data'}"
FIELD = re.compile(r"files\[(\d{1,3})\]")
UNSAFE = re.compile(r"[^\w.\-]+")
PNG = b"\x89PNG\r\n\x1a\n"
SHOWN_INLINE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"})


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a request; `number` is the n of its field `files[n]`."""

    number: int
    filename: str
    data: bytes


async def read_body(request: web.Request) -> tuple[Json, list[Upload]]:
    """The JSON of a request and its files.

    Raises:
        DiscordError: 50109 when it is not JSON, 40005 when it is too large, 50035 when it is no object.
    """
    if request.content_type == "multipart/form-data":
        return await _read_form(request)
    return _object(await _json_bytes(request)), []


async def whole_body(request: web.Request) -> Json | list[Any]:
    """The JSON of a request that was accepted, with its files as fields of the form."""
    if request.content_type != "multipart/form-data":
        return cast(Json | list[Any], await read_json(request))
    body, uploads = await _read_form(request)
    return body | {f"files[{upload.number}]": upload.filename for upload in uploads}


async def read_json(request: web.Request) -> Any:
    """The JSON of a request, whatever it is."""
    return _parsed(await _json_bytes(request))


async def _json_bytes(request: web.Request) -> bytes:
    """The body, which must say that it is JSON unless it is empty."""
    data = await request.read()
    if data and request.content_type != "application/json":
        fault = {
            "code": "CONTENT_TYPE_INVALID",
            "message": f'Expected "Content-Type" header to be one of {CONTENT_TYPES}.',
        }
        raise DiscordError(Known.INVALID_FORM, details={"_errors": [fault]})
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise DiscordError(Known.INVALID_JSON) from None


def _object(data: bytes) -> Json:
    body = _parsed(data)
    if not isinstance(body, dict):
        form = Form()
        form.fail("body", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        form.check()
    return dict(body)


async def _read_form(request: web.Request) -> tuple[Json, list[Upload]]:
    body: Json = {}
    uploads: list[Upload] = []
    left = REQUEST_LIMIT
    try:
        async for part in await _parts(request):
            if not isinstance(part, BodyPartReader):
                continue
            data = await _bounded(part, left)
            left -= len(data)
            found = FIELD.fullmatch(part.name or "")
            if part.name == "payload_json":
                body = _object(data)
            elif found:
                uploads.append(Upload(int(found.group(1)), safe_name(part.filename or "file"), data))
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError):
        # The parser's ways of saying that the body is no well-formed multipart.
        raise DiscordError(Known.INVALID_FORM, details={}) from None
    if len(uploads) > FILES_LIMIT:
        raise DiscordError(Known.TOO_MANY_FILES)
    if any(len(upload.data) > FILE_LIMIT for upload in uploads):
        raise DiscordError(Known.TOO_LARGE)
    return body, uploads


async def _parts(request: web.Request) -> MultipartReader:
    """The parts, from the body as a whole: a fault may have had it read before."""
    stream = StreamReader(BaseProtocol(asyncio.get_running_loop()), limit=REQUEST_LIMIT)
    stream.feed_data(await request.read())
    stream.feed_eof()
    return MultipartReader(request.headers, stream)


async def _bounded(part: BodyPartReader, left: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(2**16):
        data += chunk
        if len(data) > left:
            raise DiscordError(Known.TOO_LARGE)
    return bytes(part.decode(bytes(data))) if part.headers.get("Content-Transfer-Encoding") else bytes(data)


def safe_name(name: str) -> str:
    """The name as Discord keeps it: letters, digits, `_`, `.` and `-`."""
    return UNSAFE.sub("_", name.replace("\\", "/").rsplit("/", 1)[-1]).strip(".")[:100] or "file"


def dimensions(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG or GIF; None for anything else."""
    if data.startswith(PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return int(width), int(height)
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return int(width), int(height)
    return None


class Media:
    """The folder of files and the route that serves them."""

    def __init__(self, folder: Path, *, ids: Snowflakes) -> None:
        self._folder = folder
        self._ids = ids
        self.origin = ""
        """`http://127.0.0.1:PORT`, known once the port is open."""

    def describe(self, place: int, upload: Upload, *, about: Json, ephemeral: bool = False) -> Json:
        """The attachment as messages show it, with its id and address; nothing is written yet.

        `about` may hold another filename and a description.
        """
        number = self._ids.next()
        name = safe_name(about.get("filename") or upload.filename)
        url = f"{self.origin}{CDN}/{place}/{number}/{quote(name)}"
        attachment: Json = {
            "id": str(number),
            "filename": name,
            "size": len(upload.data),
            "url": url,
            "proxy_url": url,
            "content_type": mimetypes.guess_type(name)[0] or "application/octet-stream",
        }
        size = dimensions(upload.data)
        if size is not None:
            attachment |= {"width": size[0], "height": size[1]}
        if about.get("description"):
            attachment["description"] = about["description"]
        return attachment | ({"ephemeral": True} if ephemeral else {})

    def write(self, place: int, attachment: Json, data: bytes) -> None:
        folder = self._folder / str(place) / attachment["id"]
        folder.mkdir(parents=True)
        (folder / attachment["filename"]).write_bytes(data)

    def forget(self, place: int, attachments: list[Json]) -> None:
        """Delete the files of a message that is gone."""
        for attachment in attachments:
            shutil.rmtree(self._folder / str(place) / str(int(attachment["id"])), ignore_errors=True)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /cdn/attachments/{place}/{id}/{name}`."""
        place, number = parsed(request.match_info["place"]), parsed(request.match_info["id"])
        name = safe_name(request.match_info["name"])
        path = self._folder / str(place) / str(number) / name
        if place is None or number is None or not path.is_file():
            raise DiscordError(Known.NOT_FOUND)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        inline = kind in SHOWN_INLINE
        headers = {
            "Content-Type": kind if inline else "application/octet-stream",
            "Content-Disposition": "inline" if inline else f'attachment; filename="{quote(name)}"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Cache-Control": "private, max-age=86400",
            **VIA,
        }
        return web.Response(body=path.read_bytes(), headers=headers)
