"""The host's script speaks in lines; this is what the bot understands of them."""

from bot.services.transcript import read_transcript


def test_the_last_word_on_a_step_counts_and_the_order_is_the_first_mention():
    said = read_transcript("::step pull running\n::step start running\n::step pull ok 6 MB\n")
    assert said.steps == (("Pull", "ok", "6 MB"), ("Start", "running", ""))


def test_a_failure_keeps_its_reason_and_the_log_before_it():
    said = read_transcript("::log KeyError: 'STRIPE_KEY'\nplain line\n::failed health /readyz 503 for 30 s\n")
    assert said.failed == "health /readyz 503 for 30 s"
    assert said.log == ("KeyError: 'STRIPE_KEY'", "plain line")


def test_the_result_is_read_as_json():
    said = read_transcript('::result {"image":"x@sha256:1","commit":"c"}')
    assert said.result == {"image": "x@sha256:1", "commit": "c"}


def test_a_result_that_was_cut_off_is_no_result():
    assert read_transcript('::result {"image":"x@sha').result is None


def test_unknown_steps_and_states_are_log_lines():
    said = read_transcript("::step dance ok\n::step pull maybe\n")
    assert said.steps == ()
    assert said.log == ("::step dance ok", "::step pull maybe")


def test_a_log_cannot_speak_in_the_scripts_name():
    said = read_transcript("::log a\u2028::step verify ok\x85::failed no\u2029::result {}\n::failed start it died\n")
    assert said.steps == ()
    assert said.failed == "start it died"
    assert said.result is None
    assert len(said.log) == 1
