"""PromQL as text: what an alert's expression is a curve of, where its threshold is, and values that stay values."""

import pytest

from bot.services.figures import expression_of, unit_of
from bot.services.plots import Unit
from bot.services.promql import condition, constant, filled, pattern, placeholders, string_literal

SPLIT = {
    "a > 5": ("a", ">", 5.0),
    "  (a >= 5)  ": ("a", ">=", 5.0),
    "80 < a": ("a", ">", 80.0),
    "1e3 >= sum(a)": ("sum(a)", "<=", 1000.0),
    'up{job="a > b"} == 0': ('up{job="a > b"}', "==", 0.0),
    "up{job='it\\'s > 3'} != 1": ("up{job='it\\'s > 3'}", "!=", 1.0),
    "x{v=~`a>1`} < -5.5": ("x{v=~`a>1`}", "<", -5.5),
    "a > bool 10 * 1024^2": ("a", ">", 10485760.0),
    "(a > (14.4 * (1 - 0.5))) and (b > 3)": ("a", ">", 7.2),
    "(a > 1) or (b > 2)": ("a", ">", 1.0),
    "min_over_time(up[2m]) < 1 unless on (x) y": ("min_over_time(up[2m])", "<", 1.0),
    "100 - avg by (instance) (rate(c[5m])) * 100 > 80": (
        "100 - avg by (instance) (rate(c[5m])) * 100", ">", 80.0,
    ),
    "((a + b)) / (c) > 2 # > 3\n": ("((a + b)) / (c)", ">", 2.0),
    "# a > 3\nb > 4": ("b", ">", 4.0),
    "rate(x[5m] offset 1h) > 5": ("rate(x[5m] offset 1h)", ">", 5.0),
    "quantile_over_time(0.9, (a > 3)[5m:1m]) > 4": ("quantile_over_time(0.9, (a > 3)[5m:1m])", ">", 4.0),
}  # fmt: skip
WHOLE = {
    "absent(up)": "absent(up)",
    "vector(1)": "vector(1)",
    "a > b": "a",
    "a > on (x) group_left b": "a",
    "a > Inf": "a",
    "a and b > 3": "a",
    "x > 2 ^ 9 ^ 9 ^ 9 ^ 9": "x",
    "x > 1 / 0": "x",
    "(a) + (b)": "(a) + (b)",
    "sum by (and) (or_total)": "sum by (and) (or_total)",
    'a > "5"': "a",
}


@pytest.mark.parametrize("expression", SPLIT)
def test_an_expression_is_split_where_it_compares_with_a_number(expression: str) -> None:
    found = condition(expression)
    assert (found.curve, found.comparison) == SPLIT[expression][:2]
    assert found.threshold == pytest.approx(SPLIT[expression][2])
    assert found.beyond == {">": ">", "<": "<"}.get(found.comparison[0], "")


@pytest.mark.parametrize("expression", WHOLE)
def test_what_compares_with_no_number_has_no_threshold(expression: str) -> None:
    found = condition(expression)
    assert (found.curve, found.threshold, found.beyond) == (WHOLE[expression], None, "")


@pytest.mark.parametrize(
    "broken",
    ["", "(", "a > (", ")))", '"', "a > 5)", "{" * 5000, "(" * 5000 + "a > 1", "(" * 900 + "a > 1" + ")" * 900],
)
def test_what_is_no_promql_does_no_harm(broken: str) -> None:
    condition(broken)


def test_a_constant_is_made_of_numbers_only() -> None:
    assert constant("2 ^ 3 ^ 2") == 512
    assert constant("0x10 + 5 % 3") == 18
    for foreign in ("a", "1 if 1 else 2", "__import__('os')", "[1]", "1,2", "True", "1 < 2", "'1'", "9" * 400, ""):
        assert constant(foreign) is None, foreign


def test_values_stand_in_a_query_as_they_are_and_end_no_string() -> None:
    query = 'x{e="$environment",s="${service}"}[$__rate_interval] $other'
    hostile = 'p"} or vector(1) #\\\n\u202e'
    written = filled(query, {"environment": hostile, "service": "app"})
    escaped = 'p\\"} or vector(1) #\\\\\\U0000000a\\U0000202e'
    assert written == 'x{e="' + escaped + '",s="app"}[$__rate_interval] $other'
    assert string_literal("é漢😀") == "é漢😀"


def test_a_value_in_a_regular_expression_stands_for_itself_and_none_for_anything() -> None:
    query = 'x{e=~"$environment",s!~ "$service"}'
    assert filled(query, {"environment": "", "service": "a.b|c"}) == 'x{e=~".*",s!~ "a\\\\.b\\\\|c"}'
    assert pattern("a+b") == "a\\+b"


def test_only_what_is_all_of_a_regular_expression_may_be_left_out() -> None:
    assert placeholders('x{a=~"$environment"} + y{b="$service"}') == {"environment": False, "service": True}
    assert placeholders('x{a=~"$environment",b="$environment"}') == {"environment": True}
    assert placeholders("up") == {}


def test_the_parser_of_prometheus_takes_what_is_filled_in() -> None:
    promql_parser = pytest.importorskip("promql_parser")
    for hostile in ('a"b', "a\\", "a\nb", "$service", "{}", "a.b*c", "\u202e\x00"):
        for query in ('x{e="$environment"}', 'x{e=~"$environment"}'):
            parsed = promql_parser.parse(filled(query, {"environment": hostile}))
            (matcher,) = parsed.matchers.matchers
            if '="$' in query and "~" not in query:
                assert matcher.value == hostile


def test_the_expression_is_read_from_the_alerts_own_link() -> None:
    assert expression_of("http://p:9090/graph?g0.expr=a+%3E+5&g0.tab=1") == "a > 5"
    for other in ("", "http://p/graph", "http://[", "mailto:x", "http://p/?g0.expr="):
        assert expression_of(other) == ""


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        ("100 * (1 - a / b)", Unit.PERCENT),
        ("avg(a) * 100", Unit.PERCENT),
        ("node_filesystem_avail_bytes", Unit.BYTES),
        ("rate(node_network_receive_bytes_total[5m])", Unit.NONE),
        ("a_bytes / b_bytes", Unit.NONE),
        ("count(a_bytes)", Unit.NONE),
        ("histogram_quantile(0.95, sum by (le) (rate(d_seconds_bucket[5m])))", Unit.SECONDS),
        ("up", Unit.NONE),
    ],
)
def test_a_unit_is_only_told_where_it_is_certain(expression: str, unit: Unit) -> None:
    assert unit_of(expression) is unit
    assert unit_of(expression, {"unit": "ratio"}) is Unit.RATIO
    assert unit_of(expression, {"unit": "bananas"}) is unit
