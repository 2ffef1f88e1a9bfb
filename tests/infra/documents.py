"""What every SSM document keeps to, so that no parameter of anybody's can become a command."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

INTERPOLATION = "{{"


def complaints(folder: Path, shellcheck: str) -> list[str]:
    """All that is against the rules in the documents of a folder."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        return [f"{folder} has no documents"]
    return [f"{file.name}: {text}" for file in files for text in _document(file, shellcheck)]


def _document(file: Path, shellcheck: str) -> list[str]:
    text = file.read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    found = [] if content.get("schemaVersion") == "2.2" else ["schemaVersion is not 2.2"]
    found += [] if content.get("description") else ["it has no description"]
    found += ["it has {{ }}: parameters reach a script as variables only"] if INTERPOLATION in text else []
    scripts = []
    for step in content.get("mainSteps", []):
        if step.get("action") != "aws:runShellScript":
            found.append(f"the action {step.get('action')} is not aws:runShellScript")
            continue
        inputs = step["inputs"]
        if not str(inputs.get("timeoutSeconds", "")).isdigit():
            found.append(f"step {step.get('name')} has no timeoutSeconds")
        scripts.append("\n".join(inputs["runCommand"]))
    script = "\n".join(scripts)
    for name, parameter in content.get("parameters", {}).items():
        found += [f"parameter {name} {text}" for text in _parameter(name, parameter, script)]
    argv = [shellcheck, "--shell=sh", "--exclude=SC2154", "-"]  # SC2154: the variables come from the agent
    done = subprocess.run(argv, input=script, capture_output=True, text=True, check=False)
    return found + ([done.stdout] if done.returncode else [])


def _parameter(name: str, parameter: dict[str, Any], script: str) -> list[str]:
    found = []
    if parameter.get("type") != "String":
        found.append("is not of type String")
    if not parameter.get("description"):
        found.append("has no description")
    if parameter.get("interpolationType") != "ENV_VAR":
        found.append("has not interpolationType ENV_VAR")
    pattern = str(parameter.get("allowedPattern", ""))
    if not (pattern.startswith("^") and pattern.endswith("$")):
        found.append("has no allowedPattern from ^ to $")
    else:
        allowed = re.compile(pattern)
        found += [
            f"allows {bad!r}" for bad in ("$(id)", "a;b", "a b`c`", "a|b", "a&b", "a>b") if allowed.fullmatch(bad)
        ]
        if "default" in parameter and not allowed.fullmatch(str(parameter["default"])):
            found.append("has a default that its own pattern refuses")
    if not re.search(rf"\$SSM_{name}\b|\$\{{SSM_{name}\b", script):
        found.append("is never used")
    return found
