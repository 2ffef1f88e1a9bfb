"""Alerts: what fires, since when, who has it and whom it may call. A core beside `ops`, without Discord or clients."""
