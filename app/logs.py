"""The service's log: one JSON object a line on standard output. It decides no wording of its own."""

import json
import logging
import sys
from datetime import UTC, datetime

log = logging.getLogger("app")


class JsonLines(logging.Formatter):
    """A record as one JSON object: `time`, `level`, `event`, then whatever `extra={"data": {...}}` carries."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def start_logging(level: str) -> None:
    """Send every log record of this process to standard output as JSON lines; `level` is one of `LOG_LEVELS`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
