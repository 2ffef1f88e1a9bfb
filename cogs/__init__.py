"""The rooms of the front, one file each: commands, options, autocomplete. A cog is a doorman and decides nothing."""

EXTENSIONS: tuple[str, ...] = (
    "cogs.deploy",
    "cogs.status",
    "cogs.audit",
    "cogs.ops",
    "cogs.control",
    "cogs.metrics",
    "cogs.alerts",
    "cogs.silence",
    "cogs.maintenance",
    "cogs.oncall",
    "cogs.about",
)
"""All rooms that there are; the configuration's `cogs` picks from them by their last name."""
