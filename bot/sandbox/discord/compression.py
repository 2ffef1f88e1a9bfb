"""Transport compression of the gateway: one stream per connection, flushed after every payload.

zlib is in the standard library. zstd comes with Python 3.14 or with a package; without one, a client that asks for
it is told so, and a client asks only when it has one itself.
"""

import importlib
import zlib
from typing import Any, Protocol


class Unavailable(Exception):
    """The compression that was asked for cannot be done; the text says which."""


class Squeeze(Protocol):
    """Turns a payload into what goes over the socket."""

    def __call__(self, text: str) -> bytes | str: ...


class Plain:
    """Nothing is compressed: text frames."""

    def __call__(self, text: str) -> str:
        return text


class Zlib:
    """`zlib-stream`: each payload ends with the four bytes of a sync flush."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(level=1)

    def __call__(self, text: str) -> bytes:
        return self._stream.compress(text.encode()) + self._stream.flush(zlib.Z_SYNC_FLUSH)


class Zstd:
    """`zstd-stream`: each payload ends a block."""

    def __init__(self) -> None:
        self._stream, self._flush = _zstd_stream()

    def __call__(self, text: str) -> bytes:
        return bytes(self._stream.compress(text.encode()) + self._stream.flush(self._flush))


def _zstd_stream() -> tuple[Any, int]:
    """A compressor and its flush mode, from whichever module is installed."""
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        if name == "zstandard":
            return module.ZstdCompressor(level=1).compressobj(), module.COMPRESSOBJ_FLUSH_BLOCK
        return module.ZstdCompressor(level=1), module.ZstdCompressor.FLUSH_BLOCK
    raise Unavailable("zstd-stream needs a zstd module, and none is installed here")


def squeeze_for(name: str) -> Squeeze:
    """The compression that a client asked for in the gateway's address; empty: none.

    Raises:
        Unavailable: it is unknown, or its module is missing.
    """
    match name:
        case "":
            return Plain()
        case "zlib-stream":
            return Zlib()
        case "zstd-stream":
            return Zstd()
    raise Unavailable(f"the compression {name[:40]!r} is not spoken here")
