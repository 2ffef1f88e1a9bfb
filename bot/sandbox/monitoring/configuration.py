"""What Prometheus and Alertmanager of this world are started with: the owner's alerts, tuned to fire within seconds.

Names, labels and annotations are those of `monitoring/`; only windows and waits are shorter. The files are JSON, which
is YAML.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.sandbox import cast
from bot.sandbox.host.machine_files import write_private
from bot.sandbox.monitoring.hosts import SWITCHED_OFF

Json = dict[str, Any]

SERVICE = "app"
SCRAPE = "1s"
WINDOW = "5s"
"""Of a rate; the real rules look at five minutes."""
GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL = "1s", "2s", "4h"
BEAT_INTERVAL, BEAT_REPEAT = "5s", "10s"
"""The heartbeat is sent again at the first tick of the interval after the repeat: every 10 to 15 s."""
RESEND = "5s"
WATCHDOG = "Watchdog"
PAIRED = ("alertname", "environment", "service", "instance", "mountpoint")
GROUPED = ("alertname", "environment", "service")
RUNBOOKS = f"https://github.com/{cast.GITHUB_REPOSITORY}/blob/main/monitoring/runbooks"

CPU = f'100 * (1 - avg by (environment, service, instance) (rate(node_cpu_seconds_total{{mode="idle"}}[{WINDOW}])))'
MEMORY = "100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)"
DISK = '100 * node_filesystem_avail_bytes{fstype!="tmpfs"} / node_filesystem_size_bytes{fstype!="tmpfs"}'


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where everything is: `tls` as Prometheus wants it, the apps by environment, the hosts' instance ids."""

    tls: Json
    node_exporters: Mapping[str, int]
    instances: Mapping[str, str]
    apps: Mapping[str, str]
    apps_token: str
    alertmanager_port: int
    webhook_url: str
    token_file: Path


def rules() -> Json:
    """The alert rules, in one group a second."""
    return {"groups": [{"name": "quarterdeck", "interval": "1s", "rules": list(_rules())}]}


def _rules() -> Sequence[Json]:
    return [
        _alert(
            "NodeExporterDown",
            'up{job="node"} == 0',
            wait="3s",
            severity="critical",
            summary="No figures of the host",
            description="The node exporter of {{ $labels.instance }} does not answer: nothing is known of this host.",
        ),
        *_pair(
            "HighCPUUsage",
            CPU,
            ">",
            (80, 95),
            summary="The processors are nearly all busy",
            description='CPU of {{ $labels.instance }} is at {{ $value | printf "%.0f" }} %.',
        ),
        *_pair(
            "HighMemoryUsage",
            MEMORY,
            ">",
            (85, 95),
            summary="Memory is nearly used up",
            description='Memory of {{ $labels.instance }} is at {{ $value | printf "%.0f" }} %.',
        ),
        *_pair(
            "LowDiskSpace",
            DISK,
            "<",
            (15, 5),
            summary="A file system is nearly full",
            description='{{ $labels.mountpoint }} of {{ $labels.instance }} has {{ $value | printf "%.0f" }} % left.',
        ),
        _alert(
            "CAdvisorDown",
            'up{job="cadvisor"} == 0',
            wait="3s",
            severity="critical",
            summary="No figures of the containers",
            description="cAdvisor of {{ $labels.instance }} does not answer: nothing is known of its containers.",
        ),
        _alert(
            "AppDown",
            'up{job="app"} == 0',
            wait="2s",
            severity="critical",
            summary="The service does not answer",
            description="{{ $labels.service }} in {{ $labels.environment }} does not answer at {{ $labels.instance }}.",
        ),
        _alert(
            WATCHDOG,
            f"vector(1) unless on() (max({SWITCHED_OFF}) == 1)",
            wait="0s",
            severity="none",
            summary="Always firing: the alerts' heartbeat",
            description="As long as this arrives, Prometheus and Alertmanager reach the bot.",
        ),
    ]


def _pair(
    name: str, expression: str, sign: str, limits: tuple[float, float], *, summary: str, description: str
) -> list[Json]:
    """The same alert at two severities: one name, so that the critical one can inhibit the warning."""
    return [
        _alert(
            name,
            f"{expression} {sign} {limit:g}",
            wait="2s",
            severity=severity,
            summary=summary,
            description=description,
            unit="percent",
        )
        for severity, limit in zip(("warning", "critical"), limits, strict=True)
    ]


def _alert(name: str, expression: str, *, wait: str, severity: str, **annotations: str) -> Json:
    texts = {**annotations, "runbook_url": f"{RUNBOOKS}/{name}.md"}
    return {"alert": name, "expr": expression, "for": wait, "labels": {"severity": severity}, "annotations": texts}


def prometheus(wiring: Wiring, *, rules_file: Path) -> Json:
    """`prometheus.yml`."""
    return {
        "global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": SCRAPE},
        "rule_files": [str(rules_file)],
        "alerting": {
            "alertmanagers": [
                {
                    "scheme": "https",
                    "tls_config": wiring.tls,
                    "timeout": "5s",
                    "static_configs": [{"targets": [f"127.0.0.1:{wiring.alertmanager_port}"]}],
                }
            ]
        },
        "scrape_configs": [_hosts(wiring), _apps(wiring)],
    }


def _hosts(wiring: Wiring) -> Json:
    return {
        "job_name": "node",
        "scheme": "https",
        "tls_config": wiring.tls,
        "static_configs": [
            _target(f"127.0.0.1:{port}", environment, wiring) for environment, port in wiring.node_exporters.items()
        ],
    }


def _apps(wiring: Wiring) -> Json:
    return {
        "job_name": "app",
        "scrape_interval": "2s",
        "scrape_timeout": "2s",
        "authorization": {"credentials": wiring.apps_token},
        "static_configs": [
            _target(url.removeprefix("http://"), environment, wiring) for environment, url in wiring.apps.items()
        ],
    }


def _target(address: str, environment: str, wiring: Wiring) -> Json:
    labels = {"environment": environment, "service": SERVICE, "instance": wiring.instances[environment]}
    return {"targets": [address], "labels": labels}


def alertmanager(wiring: Wiring) -> Json:
    """`alertmanager.yml`: everything to the bot, a heartbeat of its own for the Watchdog."""
    http = {"authorization": {"type": "Bearer", "credentials_file": str(wiring.token_file)}}
    webhook = {"url": wiring.webhook_url, "max_alerts": 0, "http_config": http}
    beat = {
        "matchers": [f'alertname="{WATCHDOG}"'],
        "receiver": "heartbeat",
        "group_wait": "0s",
        "group_interval": BEAT_INTERVAL,
        "repeat_interval": BEAT_REPEAT,
    }
    return {
        "route": {
            "receiver": "bot",
            "group_by": list(GROUPED),
            "group_wait": GROUP_WAIT,
            "group_interval": GROUP_INTERVAL,
            "repeat_interval": REPEAT_INTERVAL,
            "routes": [beat],
        },
        "inhibit_rules": [
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity="warning"'],
                "equal": list(PAIRED),
            }
        ],
        "receivers": [
            {"name": "bot", "webhook_configs": [{**webhook, "send_resolved": True}]},
            {"name": "heartbeat", "webhook_configs": [{**webhook, "send_resolved": False}]},
        ],
    }


def write(path: Path, document: Json) -> None:
    """Write one of these down, for its server alone."""
    write_private(path, json.dumps(document, indent=1) + "\n")
