"""The wire under prometheus-api-client: a `requests` session that reads no more and no longer than it was told.

The library hands over what came back as a bare list, or as an exception with the body's repr in it. This session keeps
each answer, so that the client can read Prometheus' own words, and ends a read that drips at its deadline: a thread
that waits for it could not be stopped from outside.
"""

import io
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

READ_PIECE_BYTES = 65536


class TooMuch(Exception):
    """The answer is longer than what was asked for may be."""


class TooLate(Exception):
    """The answer was still coming when the time was over."""


class BoundedSession(requests.Session):
    """One thread's session. `last` is the newest answer. Redirects and the proxies of the machine are not followed.

    An answer is handed out only when `turn` is free, and the turn is kept until `done`: what reads answers keeps the
    interpreter busy, and several at once would make the event loop wait for each of them.
    """

    def __init__(self, headers: Mapping[str, str], turn: threading.Lock) -> None:
        super().__init__()
        self._turn = turn
        self._has_turn = False
        self.trust_env = False
        self.headers.update(headers)
        self.last: requests.Response | None = None
        self._until = 0.0
        self._limit_bytes = 0

    def prepare(self, *, within_s: float, limit_bytes: int) -> None:
        """What holds for the next request: the seconds for all of it, and the size of its body."""
        self.last = None
        self._until = time.monotonic() + within_s
        self._limit_bytes = limit_bytes

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        """One request and all of its answer.

        Raises:
            TooMuch, TooLate: it is broken off.
            requests.RequestException: no connection, or none that lasted.
        """
        how |= {"stream": True, "allow_redirects": False}
        answer = super().send(request, **how)
        try:
            whole = self._whole(answer)
        except BaseException:
            answer.close()
            raise
        answer.raw = io.BytesIO(whole)
        self.last = answer
        self._turn.acquire()
        self._has_turn = True
        return answer

    def done(self) -> None:
        """The answer has been read, or there was none: it is somebody else's turn."""
        if self._has_turn:
            self._has_turn = False
            self._turn.release()

    def _whole(self, answer: requests.Response) -> bytes:
        body = bytearray()
        for piece in self._pieces(answer):
            body += piece
            if len(body) > self._limit_bytes:
                raise TooMuch
            if time.monotonic() > self._until:
                raise TooLate
        return bytes(body)

    def _pieces(self, answer: requests.Response) -> Iterator[bytes]:
        try:
            yield from answer.raw.stream(READ_PIECE_BYTES, decode_content=True)
        except ReadTimeoutError as error:
            raise TooLate from error
        except HTTPError as error:
            raise requests.ConnectionError(error) from error
