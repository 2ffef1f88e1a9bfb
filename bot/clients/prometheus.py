"""Prometheus: queries, what fires there by its own word, and the rules. Reads only, each with a deadline.

The library is synchronous and a hanging call cannot be taken back, so it works in a few daemon threads of its own: a
dead Prometheus delays neither the event loop nor the end of the process. Nothing is tried again here.
"""

import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from bot.clients.alertmanager_types import moment
from bot.clients.hearing import DEAF, Hearing
from bot.clients.threads import DaemonPool, NeverBegan
from bot.errors import Refused, Unavailable, Unreachable

if TYPE_CHECKING:
    from requests import Response

PART = "prometheus"
POINTS_MAX = 300
"""Of one curve: more than a chart can show, and far below Prometheus' own 11,000."""
QUERY_MAX_BYTES = 6000
"""Of a query as it stands in an address, which is where the library puts it; many proxies end at 8 kB."""
ANSWER_MAX_BYTES = 2 * 2**20
"""Some 250 curves of 300 points; what is longer keeps the interpreter busy for too long at once."""
LISTING_MAX_BYTES = 32 * 2**20
CONNECT_TIMEOUT_S = 2.0
MARGIN_S = 0.5
"""Prometheus and the thread are told to give up so much before whoever waits does, so that threads come free."""
WORDS_MAX = 300

T = TypeVar("T")
Point = tuple[float, float]
"""Seconds since 1970 and a value, which may be NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Series:
    """One curve, oldest point first; an instant query gives it one point."""

    labels: Mapping[str, str]
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave. `warnings` are Prometheus' own words on why it may be partial; `step_s` is 0 of an instant."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()
    step_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert by Prometheus' own word; `active_at` is since when its condition holds (before its `for`)."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    active_at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that Prometheus evaluates. `state` is that of an alerting one: `firing`, `pending`, `inactive`."""

    group: str
    name: str
    query: str
    alerting: bool
    duration_s: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    health: str
    error: str
    firing: tuple[FiringAlert, ...] = ()


class PrometheusClient:
    """One Prometheus. `timeout_s` is the time for one whole question, `concurrency` how many are asked at once."""

    def __init__(
        self, url: str, *, timeout_s: float = 5.0, concurrency: int = 3, headers: Mapping[str, str] | None = None,
        hearing: Hearing = DEAF,
    ) -> None:  # fmt: skip
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = dict(headers or {})
        self._hearing = hearing
        self._pool = DaemonPool("prometheus", concurrency)
        self._local = threading.local()
        self._turn = threading.Lock()

    def close(self) -> None:
        """Let the threads go; what hangs is left to the end of the process."""
        self._pool.close()

    async def query(self, promql: str, at: datetime | None = None, *, deadline_s: float | None = None) -> Answer:
        """The value of the expression at that moment, or now.

        Raises:
            Refused: the query is too long, wrong, or too much for Prometheus; the sentence has its words.
            Unreachable, Unavailable: it does not answer, or not in time, or not with what its API promises.
        """
        _refuse_long(promql)
        when = {} if at is None else {"time": f"{at.timestamp():.3f}"}
        return await self._ask(
            lambda link: link.connect.custom_query(promql, params={**when, **link.told}, timeout=link.timeouts),
            lambda link, found: Answer(_series(found), link.warnings()),
            deadline_s=deadline_s,
        )

    async def query_range(
        self, promql: str, start: datetime, end: datetime, step: timedelta | None = None,
        *, deadline_s: float | None = None,
    ) -> Answer:  # fmt: skip
        """The expression over a time, in at most 300 points a curve: a finer step is made as coarse as that takes.

        Start and end are rounded to seconds.

        Raises:
            Refused, Unreachable, Unavailable: as for `query`.
        """
        _refuse_long(promql)
        if end <= start:
            raise Refused("That range ends before it begins.", hint="Give a range such as 1h or 2d.")
        step_s = _step_s(start, end, step)
        return await self._ask(
            lambda link: link.connect.custom_query_range(
                promql, start, end, f"{step_s:g}", params=link.told, timeout=link.timeouts
            ),
            lambda link, found: Answer(_series(found), link.warnings(), step_s),
            deadline_s=deadline_s,
        )

    async def firing_alerts(self, *, deadline_s: float | None = None) -> tuple[FiringAlert, ...]:
        """What fires by Prometheus' own word, also while no Alertmanager answers; pending ones are left out."""
        return await self._ask(
            lambda link: link.listing("/api/v1/alerts"),
            lambda _link, data: _firing(data["alerts"]),
            deadline_s=deadline_s, limit_bytes=LISTING_MAX_BYTES,
        )  # fmt: skip

    async def rules(self, *, deadline_s: float | None = None) -> tuple[Rule, ...]:
        """All rules in the order of their files, alerting and recording ones."""
        return await self._ask(
            lambda link: link.listing("/api/v1/rules"),
            lambda _link, data: tuple(_rule(group["name"], row) for group in data["groups"] for row in group["rules"]),
            deadline_s=deadline_s, limit_bytes=LISTING_MAX_BYTES,
        )  # fmt: skip

    async def _ask(
        self, ask: Callable[["_Link"], Any], read: Callable[["_Link", Any], T],
        *, deadline_s: float | None, limit_bytes: int = ANSWER_MAX_BYTES,
    ) -> T:  # fmt: skip
        within_s = self._timeout_s if deadline_s is None else min(deadline_s, self._timeout_s)

        def work() -> T:
            link = self._link()
            link.prepare(within_s=within_s, limit_bytes=limit_bytes)
            return link.attempt(ask, read)

        try:
            answer = await self._pool.call(work, deadline_s=within_s)
        except NeverBegan as error:
            sentence = f"Prometheus was not asked: the questions before this one took more than {within_s:g} s."
            raise Unavailable(PART, sentence) from error
        except TimeoutError as error:
            raise self._silent(Unavailable(PART, f"Prometheus did not answer within {within_s:g} s.")) from error
        except Refused:
            self._hearing.heard(PART)
            raise
        except Unavailable as error:
            raise self._silent(error) from error.__cause__
        self._hearing.heard(PART)
        return answer

    def _silent(self, error: Unavailable) -> Unavailable:
        self._hearing.silent(PART, str(error))
        return error

    def _link(self) -> "_Link":
        link: _Link | None = getattr(self._local, "link", None)
        if link is None:
            link = self._local.link = _Link(self._url, self._headers, self._turn)
        return link


class _Link:
    """One thread's way to Prometheus. The library is imported by the first question: it takes a tenth of a second."""

    def __init__(self, url: str, headers: Mapping[str, str], turn: threading.Lock) -> None:
        from prometheus_api_client import PrometheusConnect
        from urllib3.util.retry import Retry

        from bot.clients.prometheus_session import BoundedSession

        self._url = url
        self._session = BoundedSession(headers, turn)
        self.connect = PrometheusConnect(url, retry=Retry(total=0), session=self._session)
        self.timeouts = (CONNECT_TIMEOUT_S, CONNECT_TIMEOUT_S)
        self._given_s = 0.0
        self.told: dict[str, str] = {}
        """What Prometheus itself is told of the time it has."""

    def prepare(self, *, within_s: float, limit_bytes: int) -> None:
        """What holds for the next question: the seconds for all of it, and the size of its answer."""
        self._given_s = within_s
        sooner_s = within_s - min(MARGIN_S, within_s / 4)
        self.timeouts = (min(CONNECT_TIMEOUT_S, sooner_s), sooner_s)
        self.told = {"timeout": f"{sooner_s * 1000:.0f}ms"}
        self._session.prepare(within_s=sooner_s, limit_bytes=limit_bytes)

    def listing(self, path: str) -> Any:
        """The data of a list that the library has no call for."""
        from prometheus_api_client.exceptions import PrometheusApiClientException

        answer = self._session.get(self._url + path, timeout=self.timeouts)
        if answer.status_code != 200:
            raise PrometheusApiClientException(f"{path}: {answer.status_code}")
        return answer.json()["data"]

    def warnings(self) -> tuple[str, ...]:
        """What Prometheus said beside its answer; the library drops it."""
        body = b"" if self._session.last is None else self._session.last.content
        if b'"warnings"' not in body and b'"infos"' not in body:
            return ()
        told = json.loads(body)
        return tuple(str(words)[:WORDS_MAX] for key in ("warnings", "infos") for words in told.get(key) or ())

    def attempt(self, ask: Callable[["_Link"], Any], read: Callable[["_Link", Any], T]) -> T:
        """Ask, and read the answer; whatever goes wrong becomes one of our errors."""
        import requests
        from prometheus_api_client.exceptions import PrometheusApiClientException

        from bot.clients.prometheus_session import TooLate, TooMuch

        try:
            return read(self, ask(self))
        except TooMuch as error:
            sentence = "The answer of Prometheus is too long to be shown."
            raise Refused(
                sentence, hint="Ask for fewer series: add matchers, or aggregate with sum by (...)."
            ) from error
        except (TooLate, requests.Timeout) as error:
            raise self._too_late() from error
        except requests.ConnectionError as error:
            raise (self._too_late() if _timed_out(error) else _unreachable(error)) from error
        except PrometheusApiClientException as error:
            raise _refusal(self._session.last) from error
        except requests.JSONDecodeError as error:
            raise Unavailable(PART, "Prometheus answered with something that is not JSON.") from error
        except requests.RequestException as error:
            raise Unavailable(PART, f"Prometheus cannot be reached ({type(error).__name__}).") from error
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise Unavailable(PART, "Prometheus answered with something that is not its API's.") from error
        finally:
            self._session.done()

    def _too_late(self) -> Unavailable:
        return Unavailable(PART, f"Prometheus did not answer within {self._given_s:g} s.")


def _reason(error: Exception) -> object:
    """What urllib3 says: with no second try, requests has one name for no connection, a broken one and a silent one."""
    cause = error.args[0] if error.args else None
    return getattr(cause, "reason", cause)


def _timed_out(error: Exception) -> bool:
    from urllib3.exceptions import ReadTimeoutError

    return isinstance(_reason(error), ReadTimeoutError)


def _unreachable(error: Exception) -> Unavailable:
    from urllib3.exceptions import NewConnectionError

    if isinstance(_reason(error), NewConnectionError):
        return Unreachable(PART, "Prometheus cannot be reached: no connection.")
    return Unavailable(PART, "Prometheus cannot be reached: the connection broke.")


def _refusal(answer: "Response | None") -> Unavailable | Refused:
    """What an answer other than 200 means; its own words are Prometheus', if it is Prometheus that answers."""
    status = answer.status_code if answer is not None else 0
    kind, words = _told(answer.content if answer is not None else b"")
    if status in (400, 422) and words:
        which = "does not understand the query" if kind == "bad_data" else "could not carry the query out"
        return Refused(f"Prometheus {which}: {words}", hint="Mend the query; the documentation's page is “Querying”.")
    if kind in ("timeout", "canceled"):
        return Unavailable(PART, f"Prometheus gave the query up, it took too long: {words}", status=status)
    if status in (401, 403):
        return Unavailable(PART, f"Prometheus does not let us in ({status}).", status=status)
    told = f" ({words})" if words else ""
    return Unavailable(PART, f"Prometheus answered {status}{told}.", status=status)


def _told(body: bytes) -> tuple[str, str]:
    """(kind, words) of an error that Prometheus gives; empty of everything else, such as a proxy's page."""
    try:
        value = json.loads(body)
    except ValueError:
        return "", ""
    if not isinstance(value, dict) or value.get("status") != "error":
        return "", ""
    return str(value.get("errorType") or ""), str(value.get("error") or "")[:WORDS_MAX]


def _refuse_long(promql: str) -> None:
    if not promql.strip():
        raise Refused("That query is empty.", hint='Write one like up{job="app"}.')
    length = len(quote(promql))
    if length > QUERY_MAX_BYTES:
        raise Refused(
            f"That query is too long: {length} bytes of at most {QUERY_MAX_BYTES}.",
            hint="Shorten it, or make it a recording rule and ask for that.",
        )


def _step_s(start: datetime, end: datetime, step: timedelta | None) -> float:
    """Whole seconds where that is possible, so that the points of two questions meet."""
    length_s = (end - start).total_seconds()
    least_s = length_s / (POINTS_MAX - 1)
    wanted_s = max(step.total_seconds() if step is not None else 0.0, least_s, 0.1)
    return wanted_s if wanted_s < 1 else float(math.ceil(wanted_s))


def _series(found: Any) -> tuple[Series, ...]:
    """Series of a vector or a matrix; a scalar is one series without labels. Histograms have no points of their own."""
    if len(found) == 2 and isinstance(found[0], int | float):
        return (Series({}, (_point(found),)),)
    return tuple(Series(_texts(row["metric"]), tuple(map(_point, row.get("values") or _single(row)))) for row in found)


def _single(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (row["value"],) if "value" in row else ()


def _point(pair: Any) -> Point:
    return float(pair[0]), float(pair[1])


def _firing(rows: Iterable[Mapping[str, Any]]) -> tuple[FiringAlert, ...]:
    return tuple(_alert(row) for row in rows if row["state"] == "firing")


def _alert(row: Mapping[str, Any]) -> FiringAlert:
    active_at = moment(row["activeAt"])
    if active_at is None:
        raise ValueError("an alert without a start")
    return FiringAlert(_texts(row["labels"]), _texts(row.get("annotations") or {}), active_at, float(row["value"]))


def _rule(group: str, row: Mapping[str, Any]) -> Rule:
    return Rule(
        group=str(group),
        name=str(row["name"]),
        query=str(row["query"]),
        alerting=row["type"] == "alerting",
        duration_s=float(row.get("duration") or 0),
        labels=_texts(row.get("labels") or {}),
        annotations=_texts(row.get("annotations") or {}),
        state=str(row.get("state") or ""),
        health=str(row.get("health") or ""),
        error=str(row.get("lastError") or ""),
        firing=_firing(row.get("alerts") or ()),
    )


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in row.items()}
