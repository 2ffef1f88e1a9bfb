"""One condition on a label of an alert, in Alertmanager's own terms: for whoever reads, shows, sends or compares it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label, as Alertmanager writes it: `name="value"`, `!=`, `=~`, `!~`."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    @property
    def operator(self) -> str:
        return ("=~" if self.is_equal else "!~") if self.is_regex else ("=" if self.is_equal else "!=")

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{value}"'
