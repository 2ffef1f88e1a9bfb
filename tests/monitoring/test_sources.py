"""Where figures come from: the real exporters expose what rules and dashboards read, and certificates are looked at."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.monitoring import stack

CERTIFICATES = stack.MONITORING / "textfile" / "certificates"
RARE = {"node_vmstat_oom_kill", "node_textfile_mtime_seconds"}
"""What a node exporter exposes on some machines only: with a kernel that counts it, or with a text file."""
LATER = {
    "prometheus_notifications_errors_total",
    "prometheus_notifications_sent_total",
    "prometheus_tsdb_head_samples_appended_total",
}
"""What Prometheus exposes once it has scraped somebody and sent something."""
RULES_RUN = "prometheus_rule_evaluation_failures_total{"


def read_of(*prefixes: str) -> set[str]:
    """The metrics with such a name that the stack reads."""
    found = {metric for _, expr in stack.expressions() for metric, _ in stack.selectors(expr)}
    return {metric for metric in found if metric.startswith(prefixes) and ":" not in metric}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[object]:
    """Start a server on a free port and fetch its figures."""
    started: list[subprocess.Popen[bytes]] = []

    def figures(*argv: str, until: str = "") -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        started.append(subprocess.Popen([*argv, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL))
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    text = str(answer.read().decode())
            except OSError:
                text = ""
            if text and until in text:
                return text
            time.sleep(0.1)
        raise AssertionError(f"{argv[0]} did not answer")

    yield figures
    for process in started:
        process.terminate()
        process.wait(10)


def test_node_exporter_exposes_what_is_read_of_it(server, tmp_path):
    (tmp_path / "one.prom").write_text("one 1\n")
    program = stack.program("prometheus-node-exporter", "prometheus-node-exporter")
    text = server(program, f"--collector.textfile.directory={tmp_path}")
    names = set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE))
    # A virtual machine without disks or pressure figures exposes none of these.
    optional = RARE | {
        name for name in read_of("node_") if name.startswith(("node_pressure_", "node_disk_", "node_filesystem_"))
    }
    assert read_of("node_") - names - optional == set()
    assert len(read_of("node_") - optional) > 8


def test_prometheus_exposes_what_is_read_of_it(server, tmp_path):
    program = stack.program("prometheus", "prometheus")
    (tmp_path / "p.yml").write_text(f"rule_files: ['{stack.RULES[0].parent}/*.yml']\n")
    text = server(program, f"--config.file={tmp_path}/p.yml", f"--storage.tsdb.path={tmp_path}/data", until=RULES_RUN)
    names = set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE))
    assert read_of("prometheus_", "process_") - names - LATER == set()


def test_alertmanager_exposes_what_is_read_of_it(server, tmp_path):
    program = stack.program("prometheus-alertmanager", "prometheus-alertmanager")
    (tmp_path / "a.yml").write_text("{route: {receiver: one}, receivers: [{name: one}]}")
    argv = (f"--config.file={tmp_path}/a.yml", f"--storage.path={tmp_path}", "--cluster.listen-address=")
    text = server(program, *argv)
    names = set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE))
    assert {re.sub("_bucket$", "", name) for name in read_of("alertmanager_")} - names == set()


# ---- certificates ----------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 40 days, with its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (Debian: openssl)")
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "40",
    ]
    argv += ["-subj", "/CN=localhost", "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(argv, check=True, capture_output=True)
    return tmp_path / "cert.pem"


def figures_of(tmp_path: Path, *entries: str) -> dict[str, float]:
    (tmp_path / "list").write_text("# what is looked at\n\n" + "\n".join(entries))
    subprocess.run([str(CERTIFICATES), str(tmp_path / "list"), str(tmp_path / "out.prom")], check=True)
    lines = (tmp_path / "out.prom").read_text().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def test_a_certificate_on_the_disk_and_one_on_the_network_are_read(tmp_path, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            try:
                with context.wrap_socket(peer, server_side=True) as secured:
                    secured.recv(1)
            except OSError:
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        figures = figures_of(tmp_path, str(certificate), address, "/not/there.pem")
        thread.join(10)
    expiry = [
        figures[f'quarterdeck_certificate_not_after_seconds{{certificate="{one}"}}'] for one in (certificate, address)
    ]
    assert expiry[0] == expiry[1] == pytest.approx(time.time() + 40 * 86400, abs=600)
    assert figures['quarterdeck_certificate_check_success{certificate="/not/there.pem"}'] == 0
    assert 'quarterdeck_certificate_not_after_seconds{certificate="/not/there.pem"}' not in figures


def test_an_entry_that_could_break_the_format_or_the_shell_is_passed_over(tmp_path):
    assert figures_of(tmp_path, '$(touch pwned)"} 1', "host:443; rm -rf /", "a b:443") == {}
    assert not (tmp_path / "pwned").exists()
