"""What the service counts about itself, in the Prometheus text format. All names and helps stand here."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The service's metrics in a registry of their own; `in_flight` is asked for at each scrape."""

    def __init__(self, *, version: str, commit: str, built_from: str, in_flight: Callable[[], int]) -> None:
        # Half of every scrape would be creation times that no rule of ours reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._requests = Counter(
            "app_http_requests",
            "Requests answered, by method, route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._latency = Histogram(
            "app_http_request_duration_seconds",
            "Time from the parsed request to the finished answer, by method and route.",
            ("method", "route"),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        Gauge("app_http_requests_in_flight", "Requests being answered now.", registry=self._registry).set_function(
            in_flight
        )
        Gauge(
            "app_build_info",
            "Always 1; the labels say what runs.",
            ("version", "commit", "built_from"),
            registry=self._registry,
        ).labels(version, commit, built_from).set(1)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request. `route` is a pattern of ours, never a path as it was sent."""
        key = (method if method in METHODS else "other", route, status)
        counter, latency = self._children.get(key) or self._bind(key)
        counter.inc()
        latency.observe(seconds)

    def _bind(self, key: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        # Finding the labelled children is the dear part of a count, so they are kept. Methods, routes and statuses
        # are few, and none of them is foreign text: the table cannot be made to grow from outside.
        method, route, status = key
        children = (self._requests.labels(method, route, str(status)), self._latency.labels(method, route))
        self._children[key] = children
        return children

    def exposition(self) -> bytes:
        """Everything as `CONTENT_TYPE` text."""
        return generate_latest(self._registry)
