"""What Prometheus and Alertmanager of this world are started with: scrapes and routes of `monitoring/`, hastened.

Jobs, labels and the tree of routes are those of a real installation; only waits are shorter. The files are JSON, which
is YAML.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.sandbox import cast
from bot.sandbox.host.machine_files import write_private
from bot.sandbox.monitoring.rules import WATCHDOG

Json = dict[str, Any]

SERVICE = "app"
SCRAPE = "1s"
GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL = "1s", "2s", "4h"
WARNING_WAIT = "3s"
"""A figure that rises steeply passes the warning's limit first; the critical alert mutes it before anybody is told."""
BEAT_INTERVAL, BEAT_REPEAT = "2s", "6s"
"""The heartbeat is sent again at the first tick of the interval after the repeat: every 6 to 8 s."""
RESEND = "2s"
"""How often Prometheus says again what fires; after four of them without a word Alertmanager takes it for ended."""
PAIRED = ("alertname", "environment", "service", "instance", "mountpoint")
MUTED_WITH_THE_EXPORTER = 'alertname=~"High.+|LowDiskSpace"'
GROUPED = ("alertname", "environment", "service")
RUNBOOKS = f"https://github.com/{cast.GITHUB_REPOSITORY}/blob/main/monitoring/runbooks"


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
        "scrape_interval": "3s",
        "scrape_timeout": "3s",
        "authorization": {"credentials": wiring.apps_token},
        "static_configs": [
            _target(url.removeprefix("http://"), environment, wiring) for environment, url in wiring.apps.items()
        ],
    }


def _target(address: str, environment: str, wiring: Wiring) -> Json:
    labels = {"environment": environment, "service": SERVICE, "instance": wiring.instances[environment]}
    return {"targets": [address], "labels": labels}


def alertmanager(wiring: Wiring) -> Json:
    """`alertmanager.yml`: everything to the bot, by severity, and the Watchdog as a heartbeat."""
    http = {"follow_redirects": False, "authorization": {"credentials_file": str(wiring.token_file)}}
    webhook = {"url": wiring.webhook_url, "max_alerts": 0, "http_config": http}
    return {
        "route": {
            "receiver": "quarterdeck",
            "group_by": list(GROUPED),
            "group_wait": GROUP_WAIT,
            "group_interval": GROUP_INTERVAL,
            "repeat_interval": REPEAT_INTERVAL,
            "routes": [
                {
                    "matchers": [f'alertname="{WATCHDOG}"'],
                    "receiver": "heartbeat",
                    "group_by": ["alertname", "environment"],
                    "group_wait": "0s",
                    "group_interval": BEAT_INTERVAL,
                    "repeat_interval": BEAT_REPEAT,
                },
                {"matchers": ['severity="critical"'], "receiver": "quarterdeck"},
                {"matchers": ['severity="warning"'], "receiver": "quarterdeck", "group_wait": WARNING_WAIT},
            ],
        },
        "inhibit_rules": [
            _inhibited('severity="critical"', 'severity="warning"', *PAIRED),
            _inhibited('alertname="NodeExporterDown"', MUTED_WITH_THE_EXPORTER, "environment", "instance"),
        ],
        "receivers": [
            {"name": "quarterdeck", "webhook_configs": [{**webhook, "send_resolved": True}]},
            {"name": "heartbeat", "webhook_configs": [{**webhook, "send_resolved": False}]},
        ],
    }


def _inhibited(source: str, target: str, *equal: str) -> Json:
    return {"source_matchers": [source], "target_matchers": [target], "equal": list(equal)}


def write(path: Path, document: Json) -> None:
    """Write one of these down, for its server alone."""
    write_private(path, json.dumps(document, indent=1) + "\n")
