"""Digests and the transition table."""

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.db.tables import STATUSES
from bot.ops.model import FINAL, NEXT, OPEN, Status, canonical, digest_of

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def _shuffled(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(value)}
    return [_shuffled(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(), PLAIN, max_size=5))
def test_the_order_of_keys_does_not_change_a_digest(content: dict[str, object]) -> None:
    assert digest_of(content) == digest_of(_shuffled(content))  # type: ignore[arg-type]


@given(st.dictionaries(st.text(), PLAIN, max_size=3), st.dictionaries(st.text(), PLAIN, max_size=3))
def test_different_contents_have_different_digests(one: dict[str, object], other: dict[str, object]) -> None:
    assert (digest_of(one) == digest_of(other)) == (canonical(one) == canonical(other))


@pytest.mark.parametrize("content", [{"a": 0.5}, {"a": {"b": [1, 2.0]}}, {"a": float("nan")}], ids=str)
def test_floats_are_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="floats"):
        digest_of(content)


def test_true_and_one_are_not_the_same_content() -> None:
    assert digest_of({"a": True}) != digest_of({"a": 1})


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        digest_of({"a": MappingProxyType({})})


def test_the_table_knows_every_status_and_leads_from_pending_to_all_of_them() -> None:
    assert set(NEXT) == set(Status)
    assert {status.value for status in Status} == set(STATUSES)
    reached, edge = {Status.PENDING}, {Status.PENDING}
    while edge:
        edge = {following for status in edge for following in NEXT[status]} - reached
        reached |= edge
    assert reached == set(Status)


def test_ended_operations_stay_ended() -> None:
    assert set(OPEN) == {Status.PENDING, Status.APPROVED, Status.RUNNING, Status.INTERRUPTED}
    assert all(not NEXT[status] for status in FINAL)
