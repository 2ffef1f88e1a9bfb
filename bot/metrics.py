"""Every metric of the bot, named and helped in one place. Rooms are handed the object and count; nothing is global."""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST

_QUICK_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STORAGE_S = (0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)
_OPERATION_S = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_GROUPS = (1, 2, 4, 8, 16, 32, 64, 128)
_BODY_BYTES = (1e3, 1e4, 1e5, 1e6, 4e6, 16e6)


class Metrics:
    """The metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._operations()
        self._doors()
        self._outside()
        self._alerts()

    def _operations(self) -> None:
        self.operations_ended = Counter(
            "quarterdeck_operations_ended",
            "Operations that reached a final state, or `interrupted`.",
            ("kind", "environment", "status"),
            registry=self.registry,
        )
        self.operation_seconds = Histogram(
            "quarterdeck_operation_seconds",
            "Time from the start of an operation to its end.",
            ("kind", "environment"),
            buckets=_OPERATION_S,
            registry=self.registry,
        )
        self.operations_open = Gauge(
            "quarterdeck_operations_open",
            "Operations that wait to start, run, or wait for a human after an interruption.",
            ("status",),
            registry=self.registry,
        )
        self.votes = Counter(
            "quarterdeck_votes",
            "Votes by what became of them (approve, deny, refused).",
            ("outcome",),
            registry=self.registry,
        )
        self.refusals = Counter(
            "quarterdeck_refusals",
            "Requests, votes and cancellations that a rule refused.",
            ("rule",),
            registry=self.registry,
        )
        self.broken = Counter(
            "quarterdeck_broken",
            "Faults of the bot itself; each has a reference in the log.",
            registry=self.registry,
        )

    def _doors(self) -> None:
        self.interaction_seconds = Histogram(
            "quarterdeck_interaction_seconds",
            "Time from a Discord interaction's arrival to our first response.",
            ("name",),
            buckets=_QUICK_S,
            registry=self.registry,
        )
        self.cards_dirty = Gauge(
            "quarterdeck_cards_dirty",
            "Cards that do not show the newest rows yet.",
            registry=self.registry,
        )
        self.card_writes = Counter(
            "quarterdeck_card_writes",
            "Posts and edits of cards by outcome (posted, edited, found, failed, limited).",
            ("outcome",),
            registry=self.registry,
        )
        self.gateway_latency_seconds = Gauge(
            "quarterdeck_gateway_latency_seconds",
            "Heartbeat latency of the Discord gateway.",
            registry=self.registry,
        )
        self.gateway_connected = Gauge(
            "quarterdeck_gateway_connected",
            "1 while the Discord gateway is connected, else 0.",
            registry=self.registry,
        )
        self.card_oldest_seconds = Gauge(
            "quarterdeck_card_oldest_seconds",
            "For how long the card that waits longest has not shown the newest rows; 0 when every card does.",
            registry=self.registry,
        )
        self.build_info = Gauge(
            "quarterdeck_build_info",
            "Always 1; the label says which version runs.",
            ("version",),
            registry=self.registry,
        )

    def _outside(self) -> None:
        self.client_requests = Counter(
            "quarterdeck_client_requests",
            "Requests to an outside service by its name and the status that came back (`error` without one).",
            ("service", "status"),
            registry=self.registry,
        )
        self.client_seconds = Histogram(
            "quarterdeck_client_seconds",
            "Time of a request to an outside service.",
            ("service",),
            buckets=_QUICK_S,
            registry=self.registry,
        )
        self.database_write_seconds = Histogram(
            "quarterdeck_database_write_seconds",
            "Time of one transaction of the writer, commit included.",
            buckets=_STORAGE_S,
            registry=self.registry,
        )
        self.database_commit_writes = Histogram(
            "quarterdeck_database_commit_writes",
            "How many writes shared one commit.",
            buckets=_GROUPS,
            registry=self.registry,
        )

    def _alerts(self) -> None:
        self.alert_webhooks = Counter(
            "quarterdeck_alert_webhooks",
            "Requests to the listener for alerts by what became of them (`taken`, or why they were turned away).",
            ("outcome",),
            registry=self.registry,
        )
        self.alert_webhooks_malformed = Counter(
            "quarterdeck_alert_webhooks_malformed",
            "Payloads that could not be read, by what was wrong with them.",
            ("reason",),
            registry=self.registry,
        )
        self.alert_webhook_bytes = Histogram(
            "quarterdeck_alert_webhook_bytes",
            "Size of the bodies of payloads.",
            buckets=_BODY_BYTES,
            registry=self.registry,
        )
        self.alert_webhook_seconds = Histogram(
            "quarterdeck_alert_webhook_seconds",
            "Time from the headers of a webhook to its answer, the commit of its payload included.",
            buckets=(0.001, 0.0025, *_QUICK_S),
            registry=self.registry,
        )
        self.alert_backlog = Gauge(
            "quarterdeck_alert_backlog",
            "Payloads that are stored and not yet applied to cards.",
            registry=self.registry,
        )
        self.alert_backlog_seconds = Gauge(
            "quarterdeck_alert_backlog_seconds",
            "Age of the oldest payload that is not yet applied; 0 when there is none.",
            registry=self.registry,
        )

        self.alertmanager_reachable = Gauge(
            "quarterdeck_alertmanager_reachable",
            "1 while Alertmanager's own API answers, 0 while it does not, NaN where none is asked.",
            registry=self.registry,
        )
        self.alertmanager_reachable.set(math.nan)
        self.second_road = Counter(
            "quarterdeck_second_road",
            "Messages to the second road by what became of them (`sent`, `not sent`, `unknown`).",
            ("outcome",),
            registry=self.registry,
        )

    def render(self) -> bytes:
        """The exposition of all of it, of the type `CONTENT_TYPE`."""
        return generate_latest(self.registry)
