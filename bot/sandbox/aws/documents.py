"""What an SSM document asks for, and whether a command's parameters satisfy it, judged as the service judges them.

Only the kind of document that the house uses is run: schema 2.2, steps of aws:runShellScript, parameters that reach the
script as environment variables. Parameters pasted into the text of a script are refused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_TIMEOUT_S = 3600
"""aws:runShellScript's own default (Systems Manager user guide, command document plugin reference)."""
PASTED = re.compile(r"\{\{\s*[A-Za-z0-9_:]+\s*\}\}")


class SsmFault(Exception):
    """An error that the service answers; `code` is its name in the API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Script:
    """What one command runs on an instance."""

    text: str
    environ: Mapping[str, str]
    timeout_s: float
    step: str


def script_of(content: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> Script:
    """The script that a document makes of these parameters.

    Raises:
        SsmFault: InvalidParameters when a parameter is unknown, missing or of the wrong form; InvalidDocument when the
            document is of a kind that is not run here.
    """
    if str(content.get("schemaVersion")) != "2.2":
        raise SsmFault("InvalidDocument", "Only documents of schema version 2.2 are run here.")
    declared: Mapping[str, Mapping[str, Any]] = content.get("parameters") or {}
    values = _values(declared, given)
    texts, timeout_s = [], 0.0
    steps = content.get("mainSteps") or []
    for step in steps:
        inputs = step.get("inputs") or {}
        if step.get("action") != "aws:runShellScript":
            raise SsmFault("InvalidDocument", f"The action {step.get('action')!r} is not run here.")
        lines = inputs.get("runCommand") or []
        texts.append("\n".join(str(line) for line in lines))
        timeout_s += float(inputs.get("timeoutSeconds") or DEFAULT_TIMEOUT_S)
    text = "\n".join(texts) + "\n"
    if not steps or PASTED.search(text):
        raise SsmFault("InvalidDocument", "The document has no step, or pastes parameters into its script.")
    environ = {f"SSM_{name}": value for name, value in values.items()}
    return Script(text=text, environ=environ, timeout_s=timeout_s, step=str(steps[0].get("name", "runShellScript")))


def _values(declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, Sequence[str]]) -> dict[str, str]:
    if unknown := sorted(set(given) - set(declared)):
        raise SsmFault("InvalidParameters", f"document does not support parameters: {', '.join(unknown)}")
    return {name: _value(name, rules, given.get(name)) for name, rules in declared.items()}


def _value(name: str, rules: Mapping[str, Any], given: Sequence[str] | None) -> str:
    if rules.get("type") != "String" or rules.get("interpolationType") != "ENV_VAR":
        raise SsmFault(
            "InvalidDocument", f"The parameter {name} is not a String that is passed as a variable (ENV_VAR)."
        )
    if given is None:
        if "default" not in rules:
            raise SsmFault("InvalidParameters", f"Parameter {name} requires a value.")
        return str(rules["default"])
    if len(given) != 1 or not isinstance(given[0], str):
        raise SsmFault("InvalidParameters", f"Parameter {name} is a String and takes one value.")
    value = given[0]
    pattern, allowed = rules.get("allowedPattern"), rules.get("allowedValues")
    if pattern is not None and re.fullmatch(pattern, value) is None:
        raise SsmFault("InvalidParameters", f"Parameter {name} failed to satisfy constraint: {pattern}")
    if allowed is not None and value not in [str(one) for one in allowed]:
        raise SsmFault("InvalidParameters", f"Parameter {name} must be one of {', '.join(map(str, allowed))}")
    if "\0" in value or len(value) > int(rules.get("maxChars", 65536)) or len(value) < int(rules.get("minChars", 0)):
        raise SsmFault("InvalidParameters", f"Parameter {name} has a length or a character that is not allowed.")
    return value
