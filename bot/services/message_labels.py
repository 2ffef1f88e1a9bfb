"""Labels read back out of a message that Alertmanager itself posted in Discord, so that it can be silenced from there.

Alertmanager's default template (`__text_alert_list`, template/default.tmpl, 0.25 to 0.34) writes each alert as a block
`Labels:` with lines ` - name = value`. Only what all blocks of firing alerts share is proposed: a silence of that hits
what the message is about. Other messages are read as far as they write `name="value"`. Foreign text: nothing of it is
believed, whoever asks sees the matchers and what they would hit before anything is silenced.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

MOST = 30
"""Labels that are proposed at most."""
VALUE_MAX = 1000
_NAME = r"[a-zA-Z_][a-zA-Z0-9_]{0,99}"
_PAIR = re.compile(rf"^\s*-\s*({_NAME}) = (.*?)\s*$")
_QUOTED = re.compile(rf'\b({_NAME})="((?:[^"\\\n]|\\.){{1,{VALUE_MAX}}})"')
_BLOCK = re.compile(r"^\s*Labels:\s*$")
_END = re.compile(r"^\s*(?:Annotations:|Source:)")
_RESOLVED = re.compile(r"^\s*Alerts Resolved:\s*$")


def labels_in(texts: Iterable[str]) -> dict[str, str]:
    """The labels that all firing alerts of these texts (content, embeds) share; empty where none can be read."""
    whole = "\n".join(texts)
    blocks = list(_blocks(whole.splitlines()))
    if blocks:
        return _shared(blocks)
    found: dict[str, str] = {}
    clashing: set[str] = set()
    for name, value in _QUOTED.findall(whole):
        plain = re.sub(r"\\(.)", r"\1", value)
        if found.setdefault(name, plain) != plain:
            clashing.add(name)
    kept = [(name, value) for name, value in found.items() if name not in clashing]
    return dict(kept[:MOST])


def _blocks(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """One dictionary an alert; those that have resolved only where none fires."""
    firing: list[dict[str, str]] = []
    resolved: list[dict[str, str]] = []
    into = firing
    block: dict[str, str] | None = None
    for line in lines:
        if _RESOLVED.match(line):
            into, block = resolved, None
        elif _BLOCK.match(line):
            block = {}
            into.append(block)
        elif _END.match(line):
            block = None
        elif block is not None and (pair := _PAIR.match(line)):
            block[pair[1]] = pair[2][:VALUE_MAX]
    yield from (block for block in firing or resolved if block)


def _shared(blocks: list[dict[str, str]]) -> dict[str, str]:
    first, rest = blocks[0], blocks[1:]
    shared = {name: value for name, value in first.items() if all(_same(other, name, value) for other in rest)}
    return dict(list(shared.items())[:MOST])


def _same(labels: Mapping[str, str], name: str, value: str) -> bool:
    return labels.get(name) == value
