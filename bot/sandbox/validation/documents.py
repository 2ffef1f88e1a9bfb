"""Where the descriptions lie and how they are read. They are no part of the project; each is found or named as absent.

`QUARTERDECK_SPECS` names the folder of the three OpenAPI files; the schema of the gateway's payloads is made of
discord-api-types by `.ci/foreign`.
"""

import gzip
import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bot.sandbox.validation.accepted import Document, amend

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
SPECS = "QUARTERDECK_SPECS"
NAMES = {
    Document.DISCORD: "discord-openapi.json",
    Document.GITHUB: "github-openapi.json.gz",
    Document.WEBHOOKS: "github-webhooks-openapi.json.gz",
}
FOREIGN = ROOT / ".cache" / "foreign"
GATEWAY = "discord-gateway-*.json"


class DescriptionAbsent(Exception):
    """A description, or the library that compares with it, is not there; the text names it."""


def specs_folder() -> Path:
    """Where the OpenAPI files are looked for."""
    return Path(os.environ.get(SPECS) or ROOT.parent / "shared" / "specs").absolute()


def missing() -> str:
    """What keeps the comparison from being switched on, in one sentence; empty when everything is there."""
    if find_spec("jsonschema_rs") is None:
        return "jsonschema-rs is not installed: it comes with the extra `dev`"
    for name in NAMES.values():
        if not (specs_folder() / name).is_file():
            return f"{specs_folder() / name} is absent: {SPECS} names the folder of the descriptions"
    if not _gateway_file():
        return f"there is no {FOREIGN / GATEWAY}: .ci/foreign makes it of discord-api-types"
    return ""


def load(document: Document) -> Json:
    """One description, with its accepted faults amended.

    Raises:
        DescriptionAbsent: it is not there.
    """
    path = _gateway_file() if document is Document.GATEWAY else specs_folder() / NAMES[document]
    if path is None or not path.is_file():
        raise DescriptionAbsent(missing() or f"the description of {document} is absent")
    raw = path.read_bytes()
    found: Json = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    found.get("components", {}).pop("examples", None)  # two thirds of the whole, and nothing is compared with them
    amend(document, found)
    return found


def _gateway_file() -> Path | None:
    return next(iter(sorted(FOREIGN.glob(GATEWAY))), None)
