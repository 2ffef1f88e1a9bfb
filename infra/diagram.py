"""Draws what each root of `environments/` calls and how values flow between its modules, from the .tf files alone.

    python infra/diagram.py          writes infra/diagram.md
    python infra/diagram.py --check  says whether it is up to date (exit code 1: it is not)

A box is a module with the kinds of resources in it; an arrow points from where a value is made to where it is used and
names the values. It reads text, not a plan: what a switch leaves out is drawn, too.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

INFRA = Path(__file__).resolve().parent
TARGET = INFRA / "diagram.md"
HEAD = """# The infrastructure, drawn from its code
Made by `python infra/diagram.py`, never by hand; a test says when it is out of date. A box is a module and the kinds of
resources in it, an arrow carries the named values. Roots meet only in the parameter store: `control` writes what the
others read, the image's build writes the image's id.
"""
BLOCK = re.compile(r'^(module|resource|data) "([a-z0-9_]+)"(?: "([a-z0-9_]+)")? \{$', re.MULTILINE)
SOURCE = re.compile(r'^\s*source\s*=\s*"\.\./(?:\.\./modules/)?([a-z0-9_]+)"', re.MULTILINE)
OUTPUT_OF = re.compile(r"\bmodule\.([a-z0-9_]+)(?:\[[^\]]*\])?\.([a-z0-9_]+)")
LOCAL_USE = re.compile(r"\blocal\.([a-z0-9_]+)")
DATA_USE = re.compile(r"\bdata\.aws_ssm_parameter\.([a-z0-9_]+)\b")
LOCALS = re.compile(r"^locals \{$", re.MULTILINE)
LOCAL = re.compile(r"^  ([a-z0-9_]+)\s*= (.*?)(?=^  [a-z0-9_]+\s*= |\Z)", re.MULTILINE | re.DOTALL)
PARAMETER = re.compile(r'^\s*name\s*=\s*"(/[a-z0-9/_-]+)"', re.MULTILINE)
COMMENT = re.compile(r"^\s*(?:#|//).*$", re.MULTILINE)
NAMES_MAX = 3


@dataclass(frozen=True, slots=True)
class Block:
    """One top-level block; `label` is the module's name, or the kind of a resource or of a data source."""

    kind: str
    label: str
    name: str
    body: str


@dataclass(slots=True)
class Root:
    """One root: its modules, the parameters that it reads and writes, and the values that flow."""

    name: str
    modules: dict[str, str] = field(default_factory=dict)
    reads: dict[str, str] = field(default_factory=dict)
    writes: dict[str, str] = field(default_factory=dict)
    flows: dict[tuple[str, str], set[str]] = field(default_factory=dict)


def text_of(folder: Path) -> str:
    """All of a folder's .tf files without comments, in the order of their names."""
    return COMMENT.sub("", "\n".join(path.read_text() for path in sorted(folder.glob("*.tf"))))


def body_at(text: str, start: int) -> str:
    """The body of a top-level block, which `terraform fmt` ends with a brace in the first column."""
    return text[start : text.index("\n}", start)]


def blocks(text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        yield Block(found[1], found[2], found[3] or "", body_at(text, found.end()))


def local_values(text: str) -> dict[str, str]:
    """Each local's expression, as text."""
    bodies = (body_at(text, found.end()) for found in LOCALS.finditer(text))
    return {found[1]: found[2] for body in bodies for found in LOCAL.finditer(body)}


def spread(body: str, values: dict[str, str], seen: frozenset[str] = frozenset()) -> str:
    """The body, followed by the expressions of all locals that it uses."""
    used = [name for name in LOCAL_USE.findall(body) if name in values and name not in seen]
    known = seen | frozenset(used)
    return "\n".join((body, *(spread(values[name], values, known) for name in dict.fromkeys(used))))


def kinds_in(infra: Path, module: str) -> list[str]:
    """The kinds of resources that a module makes, with those of modules inside it; settings of a kind are left out."""
    found: set[str] = set()
    for block in blocks(text_of(infra / "modules" / module)):
        if block.kind == "resource":
            found.add(block.label.removeprefix("aws_"))
        elif block.kind == "module" and (source := SOURCE.search(block.body)):
            found.update(kinds_in(infra, source[1]))
    return sorted(one for one in found if not any(one.startswith(f"{other}_") for other in found))


def read_root(folder: Path) -> Root:
    """What the root's text says. Raises ValueError when a module's source is not a folder of `modules/`."""
    root, text = Root(folder.name), text_of(folder)
    values = local_values(text)
    found = list(blocks(text))
    for block in found:
        if block.kind == "module":
            source = SOURCE.search(block.body)
            if source is None:
                raise ValueError(f"{folder.name}: module {block.label} has a source that is no folder of modules/")
            root.modules[block.label] = source[1]
        elif block.label == "aws_ssm_parameter" and (parameter := PARAMETER.search(block.body)):
            place = root.reads if block.kind == "data" else root.writes
            place[block.name] = parameter[1]
    for block in found:
        if block.kind == "module":
            note_flows(root, block.label, spread(block.body, values))
        elif block.kind == "resource" and block.name in root.writes:
            note_flows(root, f"out_{block.name}", spread(block.body, values))
    return root


def note_flows(root: Root, target: str, body: str) -> None:
    for source, output in OUTPUT_OF.findall(body):
        if source in root.modules and source != target:
            root.flows.setdefault((source, target), set()).add(output)
    for name in DATA_USE.findall(body):
        if name in root.reads:
            root.flows.setdefault((f"in_{name}", target), set())


def label_of(outputs: set[str]) -> str:
    """The values' names, cut to a few."""
    names = sorted(outputs)
    more = [f"and {len(names) - NAMES_MAX} more"] if len(names) > NAMES_MAX else []
    return "<br/>".join(names[:NAMES_MAX] + more)


def mermaid(infra: Path, root: Root) -> list[str]:
    """The root as the lines of a flowchart."""
    lines = ["```mermaid", "flowchart LR"]
    lines += [f'  in_{name}[("{parameter}")]' for name, parameter in sorted(root.reads.items())]
    for name, source in sorted(root.modules.items()):
        kinds = kinds_in(infra, source)
        text = "<br/>".join((f"<b>{name}</b>", *wrapped(kinds)))
        lines.append(f'  {name}["{text}"]')
    lines += [f'  out_{name}[("{parameter}")]' for name, parameter in sorted(root.writes.items())]
    for (source, target), outputs in sorted(root.flows.items()):
        arrow = f'-- "{label_of(outputs)}" -->' if outputs else "-->"
        lines.append(f"  {source} {arrow} {target}")
    return [*lines, "```"]


def wrapped(kinds: list[str], width: int = 3) -> list[str]:
    """The kinds, a few a line."""
    return [", ".join(kinds[at : at + width]) for at in range(0, len(kinds), width)]


def drawing(infra: Path = INFRA) -> str:
    """The whole of diagram.md."""
    parts = [HEAD]
    for folder in sorted((infra / "environments").iterdir()):
        if (folder / "main.tf").is_file():
            root = read_root(folder)
            parts += [f"## {root.name}", *mermaid(infra, root), ""]
    return "\n".join(parts).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    drawn = drawing()
    if arguments == ["--check"]:
        if TARGET.is_file() and TARGET.read_text() == drawn:
            return 0
        sys.stderr.write(f"{TARGET.name} is out of date: run python infra/diagram.py\n")
        return 1
    if arguments:
        sys.stderr.write(__doc__ or "")
        return 64
    TARGET.write_text(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
