"""Reading of request bodies: each field is checked as it is taken, and every fault is reported at its own place.

The result of a faulty body is Discord's error 50035, a tree that follows the body's shape.
"""

from collections.abc import Iterator
from typing import Any

from bot.sandbox.discord.errors import DiscordError, Json, Known
from bot.sandbox.discord.snowflakes import parsed


class Form:
    """Takes fields out of a body; `check()` refuses it when anything was wrong."""

    def __init__(self) -> None:
        self._errors: Json = {}

    def fail(self, path: str, code: str, message: str) -> None:
        """Report one fault; `path` is dotted (`embeds.0.title`)."""
        node = self._errors
        for step in path.split("."):
            node = node.setdefault(step, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def missing(self, path: str) -> None:
        self.fail(path, "BASE_TYPE_REQUIRED", "This field is required")

    def check(self) -> None:
        """Refuse.

        Raises:
            DiscordError: 50035, when a fault was reported.
        """
        if self._errors:
            raise DiscordError(Known.INVALID_FORM, details=_innermost(self._errors))

    def text(self, body: Json, key: str, path: str = "", *, least: int = 0, most: int, required: bool = False) -> str:
        """A text; empty when it is absent or null."""
        value, at = body.get(key), _at(path, key)
        if value is None:
            if required:
                self.missing(at)
            return ""
        if not isinstance(value, str):
            self.fail(at, "STRING_TYPE_CONVERT", f"Could not interpret {_shown(value)} as string.")
            return ""
        if len(value) > most and not least:
            self.fail(at, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
        elif not least <= len(value) <= most:
            self.fail(at, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
        return value

    def whole(self, body: Json, key: str, path: str = "", *, least: int, most: int, default: int = 0) -> int:
        """A whole number; `default` when it is absent or null."""
        value, at = body.get(key), _at(path, key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(at, "NUMBER_TYPE_COERCE", f"Value {_shown(value)} is not int.")
            return default
        if value < least:
            self.fail(at, "NUMBER_TYPE_MIN", f"int value should be greater than or equal to {least}.")
        elif value > most:
            self.fail(at, "NUMBER_TYPE_MAX", f"int value should be less than or equal to {most}.")
        return value

    def flag(self, body: Json, key: str, path: str = "", *, default: bool = False) -> bool:
        value = body.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(_at(path, key), "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
            return default
        return value

    def choice(
        self, body: Json, key: str, path: str = "", *, among: tuple[int, ...], default: int | None = None
    ) -> int:
        """One of some numbers; the default, or a reported fault, when it is absent."""
        value, at = body.get(key), _at(path, key)
        if value is None and default is not None:
            return default
        if value is None:
            self.missing(at)
        elif isinstance(value, bool) or value not in among:
            self.fail(at, "BASE_TYPE_CHOICES", f"Value must be one of {_listed(among)}.")
        else:
            return int(value)
        return among[0]

    def items(self, body: Json, key: str, path: str = "", *, least: int = 0, most: int) -> list[Any]:
        """A list; empty when it is absent or null."""
        value, at = body.get(key), _at(path, key)
        if value is None:
            if least:
                self.missing(at)
            return []
        if not isinstance(value, list):
            self.fail(at, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return []
        if not least <= len(value) <= most:
            self.fail(at, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
        return value

    def objects(self, body: Json, key: str, path: str = "", *, least: int = 0, most: int) -> Iterator[tuple[str, Json]]:
        """The objects of a list, each with its path."""
        for number, item in enumerate(self.items(body, key, path, least=least, most=most)[: most + 1]):
            at = f"{_at(path, key)}.{number}"
            if isinstance(item, dict):
                yield at, item
            else:
                self.fail(at, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")

    def object(self, body: Json, key: str, path: str = "", *, required: bool = False) -> Json | None:
        value, at = body.get(key), _at(path, key)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.fail(at, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        elif required:
            self.missing(at)
        return None

    def snowflake(self, body: Json, key: str, path: str = "") -> int:
        """An id, required; 0 with a fault when it is none."""
        found = parsed(body.get(key))
        if found is None:
            self.fail(_at(path, key), "NUMBER_TYPE_COERCE", f"Value {_shown(body.get(key))} is not snowflake.")
        return found or 0

    def among(self, body: Json, key: str, path: str = "", *, among: tuple[int, ...]) -> list[int]:
        """A list of some numbers, each of them one that is known."""
        found = self.items(body, key, path, most=len(among))
        for number, one in enumerate(found):
            if isinstance(one, bool) or one not in among:
                self.fail(f"{_at(path, key)}.{number}", "BASE_TYPE_CHOICES", f"Value must be one of {_listed(among)}.")
        return found

    def snowflakes(self, body: Json, key: str, path: str = "", *, most: int = 100) -> list[int]:
        found = []
        for number, item in enumerate(self.items(body, key, path, most=most)):
            one = parsed(item)
            if one is None:
                at = f"{_at(path, key)}.{number}"
                self.fail(at, "NUMBER_TYPE_COERCE", f"Value {_shown(item)} is not snowflake.")
            else:
                found.append(one)
        return found


def _innermost(errors: Json) -> Json:
    """The tree with a node's own faults only where nothing inside it is wrong: the whole is judged after its parts."""
    inner = {key: _innermost(value) for key, value in errors.items() if key != "_errors"}
    return inner or errors


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _listed(among: tuple[int, ...]) -> str:
    return "{" + ", ".join(str(int(one)) for one in among) + "}"


def _shown(value: object) -> str:
    return f'"{str(value)[:100]}"'
