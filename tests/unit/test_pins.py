"""The pinned boards: which there are, and when each is due."""

from bot.ops.model import Status
from bot.ui.pins import LEAST_PAUSE, OLD_ROUTINE_S, OPS_KEY, ROUTINE_S, Pins, Rhythm, alerts_key
from tests.wire.deploy_room import operation

OPS, ALERTS, CRITICAL = 1, 2, 3


class Seconds:
    """A monotonic clock that only moves when told."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_it_is_due_once_a_minute_and_soon_after_news() -> None:
    clock = Seconds()
    rhythm = Rhythm(first_after_s=4.0, clock=clock)
    assert not rhythm.due()
    clock.at = 4.0
    assert (rhythm.due(), rhythm.due()) == (True, False)
    rhythm.news()
    clock.at += LEAST_PAUSE.total_seconds() - 1
    assert not rhythm.due()
    clock.at += 1
    assert rhythm.due()
    clock.at += ROUTINE_S - 1
    assert not rhythm.due()
    rhythm.routine_s = OLD_ROUTINE_S
    clock.at += OLD_ROUTINE_S - ROUTINE_S
    assert not rhythm.due()
    clock.at += 1
    assert rhythm.due()


def test_a_status_is_news_and_progress_is_not() -> None:
    clock = Seconds()
    rhythm = Rhythm(first_after_s=0, clock=clock)
    assert rhythm.due()
    rhythm.changed(operation(status=Status.RUNNING))
    clock.at += 11
    assert rhythm.due()
    rhythm.changed(operation(status=Status.RUNNING))
    clock.at += 11
    assert not rhythm.due()
    rhythm.changed(operation(status=Status.SUCCEEDED))
    assert rhythm.due()


def pins(clock: Seconds) -> Pins:
    return Pins(OPS, [ALERTS, OPS, CRITICAL, ALERTS], rhythm=lambda: Rhythm(first_after_s=0, clock=clock))


def test_there_is_one_board_a_channel_also_where_alerts_go_to_the_ops_channel() -> None:
    boards = pins(Seconds())
    due = [(one.key, one.channel_id) for one in boards.due()]
    assert due == [(OPS_KEY, OPS), (alerts_key(ALERTS), ALERTS), (alerts_key(CRITICAL), CRITICAL)]
    assert boards.belongs(alerts_key(ALERTS), ALERTS)
    assert not boards.belongs(OPS_KEY, ALERTS), "the ops channel has moved"
    assert not boards.belongs(alerts_key(OPS), OPS)


def test_each_board_is_drawn_soon_after_what_it_tells_of() -> None:
    clock = Seconds()
    boards = pins(clock)
    list(boards.due())
    boards.operation_changed(operation(status=Status.RUNNING))
    clock.at += LEAST_PAUSE.total_seconds()
    assert [one.channel_id for one in boards.due()] == [OPS]
    boards.alerts_changed()
    clock.at += LEAST_PAUSE.total_seconds()
    assert [one.channel_id for one in boards.due()] == [ALERTS, CRITICAL]
    boards.outside_changed()
    clock.at += LEAST_PAUSE.total_seconds()
    assert [one.channel_id for one in boards.due()] == [OPS, ALERTS, CRITICAL]


def test_a_message_that_has_grown_old_is_drawn_less_often_and_its_successor_as_before() -> None:
    clock = Seconds()
    boards = pins(clock)
    list(boards.due())
    boards.shown(OPS_KEY, old=True)
    boards.shown("alert:7", old=True)  # no board: nothing to remember
    clock.at += ROUTINE_S
    assert [one.channel_id for one in boards.due()] == [ALERTS, CRITICAL]
    boards.shown(OPS_KEY, old=False)
    assert [one.channel_id for one in boards.due()] == [OPS]


def test_a_board_that_waited_too_long_behind_cards_is_late() -> None:
    clock = Seconds()
    boards = pins(clock)
    for _ in range(3):
        clock.at += ROUTINE_S
        assert [one.late for one in boards.due()] == [False] * 3
        boards.shown(OPS_KEY, old=False)
    clock.at += ROUTINE_S
    assert [(one.channel_id, one.late) for one in boards.due()] == [(OPS, False), (ALERTS, True), (CRITICAL, True)]
