"""The checks of alerts and figures: whether somebody is called, and whether Alertmanager and Prometheus answer."""

import asyncio
from functools import partial

from bot.alert_settings import AlertSettings
from bot.alerts.routes import Routes
from bot.clients.http import HttpClient
from bot.doctor.examination import Check, Part
from bot.doctor.findings import Verdict, fine, warning, wrong
from bot.errors import Unavailable
from bot.settings import Settings


class MonitoringExamination:
    """The checks of `[alerts]` and `[metrics]`; without these sections there is nothing to look at."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def parts(self) -> list[Part]:
        """The checks; each server is asked beside the rest."""
        alerts, metrics = self._settings.alerts, self._settings.metrics
        parts: list[Part] = []
        if alerts is not None:
            places = self._settings.environments
            parts.append([
                *(Check(f"monitoring calls in {place}", partial(self._calls, alerts, place)) for place in places),
                *([Check("monitoring heartbeat", partial(self._heartbeat, alerts))] if alerts.alertmanagers else []),
            ])  # fmt: skip
            parts += [
                [Check(f"monitoring alertmanager {url}", partial(_answering, f"{url}/api/v2/status", alerts.timeout_s))]
                for url in (str(one).rstrip("/") for one in alerts.alertmanagers)
            ]
        if metrics is not None:
            url = f"{str(metrics.url).rstrip('/')}/api/v1/status/buildinfo"
            parts.append([Check("monitoring prometheus", partial(_answering, url, metrics.timeout_s))])
        return parts

    def _calls(self, alerts: AlertSettings, environment: str) -> Verdict:
        """Whether the worst alert of that environment reaches a person's phone."""
        worst = alerts.severities[-1]
        routes = Routes(alerts.all_routes, anew_after_s=alerts.anew_after_s, ack_reminder_s=alerts.ack_reminder_s)
        route = routes.of({alerts.labels.environment: environment, alerts.labels.severity: worst})
        steps = [step.role or step.person or "whoever is on call" for step in route.escalation]
        if route.role is None and not steps:
            return warning(
                f"a {worst} alert of {environment} takes the route {route.name}, which calls nobody",
                "Give that route a role or an escalation, or alerts.role where it is the default one.",
            )
        first = f"{route.role} at once" if route.role is not None else "nobody at once"
        return fine(f"{worst}: {', then '.join([first, *steps])} (route {route.name})")

    def _heartbeat(self, alerts: AlertSettings) -> Verdict:
        if not alerts.heartbeats:
            return warning(
                "no heartbeat is waited for: when Prometheus or Alertmanager dies, nobody hears of it",
                "Add alerts.heartbeats with an alert that always fires, such as monitoring's Watchdog.",
            )
        silent = [beat.name for beat in alerts.heartbeats if beat.role is None]
        if silent:
            return warning(f"the loss of {', '.join(silent)} calls nobody", "Give the heartbeat a role.")
        return fine(", ".join(f"{beat.name} every {beat.every_s:g} s" for beat in alerts.heartbeats))


def _answering(url: str, timeout_s: float) -> Verdict:
    """Whether a server answers there as Alertmanager's and Prometheus' APIs do: with a JSON object."""
    try:
        asyncio.run(_fetched(url, timeout_s))
    except Unavailable as error:
        return wrong(str(error), "Is it up, and its address right? Without it alerts or figures are unconfirmed.")
    return fine("answers")


async def _fetched(url: str, timeout_s: float) -> object:
    http = HttpClient()
    try:
        return await http.get_json(url, timeout_s=timeout_s)
    finally:
        await http.close()
