"""Dashboards: everything that Grafana would only tell somebody who looks at the panel."""

import re
from itertools import combinations

import promql_parser
import pytest

from tests.monitoring import stack

UNITS = {
    "short", "percent", "percentunit", "s", "ms", "bytes", "Bps", "reqps", "cps", "wps", "pps", "none",
}  # fmt: skip
each_dashboard = pytest.mark.parametrize("name", sorted(stack.dashboards()))


def test_there_is_one_for_hosts_containers_the_service_the_bot_and_the_monitoring():
    assert set(stack.dashboards()) == {"host.json", "containers.json", "app.json", "bot.json", "monitoring.json"}


def test_every_uid_and_title_is_there_once():
    everything = stack.dashboards().values()
    for field in ("uid", "title"):
        values = [one[field] for one in everything]
        assert len(values) == len(set(values))
        assert all(values)


@each_dashboard
def test_a_dashboard_is_code_and_is_not_changed_in_grafana(name):
    dashboard = stack.dashboards()[name]
    assert dashboard["editable"] is False
    assert "id" not in dashboard, "an id belongs to one installation"
    assert dashboard["refresh"] == "30s"
    assert re.fullmatch(r"now(-\d+[mhd])?", dashboard["time"]["from"]), "an absolute time shows yesterday for ever"
    assert dashboard["time"]["to"] == "now"
    assert dashboard["description"]


@each_dashboard
def test_panels_have_their_own_ids_titles_and_units(name):
    dashboard = stack.dashboards()[name]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in stack.panels(dashboard):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert "timeFrom" not in panel and "timeShift" not in panel
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        assert all(target["legendFormat"] or panel["type"] == "stat" for target in panel["targets"]), panel["title"]


@each_dashboard
def test_panels_do_not_lie_on_each_other_and_fit_on_the_page(name):
    places = [(panel["title"], panel["gridPos"]) for panel in stack.dashboards()[name]["panels"]]
    assert all(at["x"] + at["w"] <= 24 for _, at in places)
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart = beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart, f"{one} and {other}"


@each_dashboard
def test_every_query_goes_to_the_source_that_was_chosen(name):
    dashboard = stack.dashboards()[name]
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    variables = dashboard["templating"]["list"]
    assert [one["type"] for one in variables].count("datasource") == 1
    asked = [*stack.panels(dashboard), *(t for panel in stack.panels(dashboard) for t in panel["targets"])]
    asked += [*dashboard["annotations"]["list"], *(one for one in variables if one["type"] == "query")]
    assert all(one["datasource"] == chosen for one in asked)


@each_dashboard
def test_every_variable_is_used_and_every_one_used_is_there(name):
    dashboard = stack.dashboards()[name]
    names = {one["name"] for one in dashboard["templating"]["list"]}
    texts = [t["expr"] for panel in stack.panels(dashboard) for t in panel["targets"]]
    texts += [one["expr"] for one in dashboard["annotations"]["list"]]
    texts += [one.get("definition", "") for one in dashboard["templating"]["list"]]
    used = set(re.findall(r"\$\{?([a-z]\w*)", " ".join(texts)))
    assert used == names - {"datasource"}


def test_ranges_of_panels_follow_the_scrape_interval():
    """A fixed range is empty when somebody zooms in, and hides peaks when somebody zooms out."""
    fixed = [
        (name, panel["title"])
        for name, dashboard in stack.dashboards().items()
        for panel in stack.panels(dashboard)
        for target in panel["targets"]
        if re.search(r"(?:rate|increase|irate)\([^()]*\[(?!\$__)", target["expr"])
    ]
    assert fixed == []


def test_a_broken_expression_is_noticed():
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        stack.selectors("sum by (rate(up[5m])")
    assert (
        promql_parser.parse(stack.substituted('up{job="$job"}', frozenset({"job"}))).prettify() == 'up{job="something"}'
    )


def test_the_source_that_dashboards_name_is_provisioned():
    sources = stack.read(stack.MONITORING / "grafana" / "provisioning" / "datasources" / "prometheus.yml")[
        "datasources"
    ]
    assert [(one["uid"], one["editable"]) for one in sources] == [("prometheus", False), ("alertmanager", False)]
    defaults = [
        one["current"]["value"]
        for dashboard in stack.dashboards().values()
        for one in dashboard["templating"]["list"]
        if one["type"] == "datasource"
    ]
    assert set(defaults) == {"prometheus"}
