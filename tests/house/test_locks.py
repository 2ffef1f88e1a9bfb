"""The lock files: hashed through and through, and in agreement, so that any may be installed after any other."""

import re
from pathlib import Path

import pytest

LOCKS = Path(__file__).parents[2] / "locks"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((LOCKS / f"{name}.txt").read_text()))


@pytest.mark.parametrize("name", ["app", "bot", "demo"])
def test_the_dev_lock_holds_every_pin_of_the_others(name: str) -> None:
    assert pins(name)
    assert pins(name).items() <= pins("dev").items()


def test_the_demo_lock_holds_what_bot_and_service_need() -> None:
    assert (pins("bot") | pins("app")).items() <= pins("demo").items()


@pytest.mark.parametrize("name", ["app", "bot", "demo", "dev"])
def test_every_pin_has_a_hash_and_no_file_names_a_package_index(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert [e.splitlines()[0] for e in entries if "--hash=sha256:" not in e] == []
    assert "index-url" not in text
    assert "://" not in text
