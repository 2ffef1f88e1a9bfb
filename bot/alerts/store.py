"""The one door to what is known of alerts: payloads in, the API's word, what people do, and everything that is read.

Each method is one transaction. Whatever changes a group also writes its pings and marks its card, in the same one.
"""

from bot.alerts.calls import Recorder
from bot.alerts.desk import Desk, DueEscalation, Event
from bot.alerts.inbox import Inbox, Outcome
from bot.alerts.reading import GroupFilter
from bot.alerts.sightings import Sightings

__all__ = ["AlertStore", "DueEscalation", "Event", "GroupFilter", "Outcome", "Recorder"]


class AlertStore(Inbox, Sightings, Desk):
    """Alerts in rows. See `Inbox`, `Sightings`, `Desk` and `Reading` for what each part is for."""
