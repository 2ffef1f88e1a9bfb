"""Labels read out of what Alertmanager's own Discord receiver posts."""

from bot.services.message_labels import MOST, labels_in

TITLE = "[FIRING:2] HighCPUUsage (prod critical app)"
TWO = """Alerts Firing:
Labels:
 - alertname = HighCPUUsage
 - environment = prod
 - instance = i-0a1
 - severity = critical
Annotations:
 - description = CPU of - instance = i-0a1 is high
 - summary = CPU
Source: http://prometheus.example/graph?g0.expr=x

Labels:
 - alertname = HighCPUUsage
 - environment = prod
 - instance = i-0b7
 - severity = critical
Annotations:
 - summary = CPU
Source: http://prometheus.example/graph?g0.expr=x
"""


def test_what_all_firing_alerts_of_the_post_share_is_proposed_and_annotations_are_not() -> None:
    assert labels_in([TITLE, TWO]) == {"alertname": "HighCPUUsage", "environment": "prod", "severity": "critical"}


def test_of_one_alert_every_label_is_proposed() -> None:
    one = TWO.split("\n\n")[0]
    assert labels_in([TITLE, one])["instance"] == "i-0a1"


def test_resolved_alerts_count_only_where_none_fires() -> None:
    resolved = TWO.replace("Alerts Firing:", "Alerts Resolved:").replace("HighCPUUsage", "LowDiskSpace")
    assert labels_in([f"{TWO}\n{resolved}"])["alertname"] == "HighCPUUsage"
    assert labels_in([resolved])["alertname"] == "LowDiskSpace"


def test_values_may_hold_anything_that_stands_on_a_line() -> None:
    found = labels_in(["Labels:\n - alertname = a = b - c\n - job = @everyone `x`\n - bad-name = x\n - empty = \n"])
    assert found == {"alertname": "a = b - c", "job": "@everyone `x`", "empty": ""}


def test_other_posts_are_read_as_far_as_they_write_matchers() -> None:
    text = r'alertname="High \"CPU\"" on instance="i-1", then instance="i-2" and nothing=here'
    assert labels_in([text]) == {"alertname": 'High "CPU"'}
    assert labels_in(["Good morning!", ""]) == {}


def test_a_post_of_endless_labels_is_cut() -> None:
    text = "Labels:\n" + "\n".join(f" - l{n} = {n}" for n in range(200))
    assert len(labels_in([text])) == MOST
