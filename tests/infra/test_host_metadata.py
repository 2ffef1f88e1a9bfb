"""The instance's metadata, which hold its credentials: a program of the host reaches them, a container does not.

Three network namespaces stand for the metadata service, the host and a container behind it; packets between the last
two are really forwarded. The service is ours. It does what the hop limit of an instance does: the answer to the PUT
that asks for a token is sent with that time to live, and without a token there is nothing to be had (IMDSv2).
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.infra.conftest import Stopwatch

ROOT = Path(__file__).resolve().parents[2]
GUARD = ROOT / "infra" / "host" / "metadata-guard"
ADDRESS = "169.254.169.254"
MISSING = [name for name in ("ip", "curl", "iptables") if shutil.which(name) is None]
MISSING += [] if os.geteuid() == 0 else ["root"]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"network namespaces need {', '.join(MISSING)}")

SERVICE = """
import http.server, socket, sys

class Metadata(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[1]))
        self.answer(200, b"token")

    def do_GET(self):
        known = self.headers.get("X-aws-ec2-metadata-token") == "token"
        self.answer(200 if known else 401, b'{"SecretAccessKey": "secret"}' if known else b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("169.254.169.254", 80), Metadata).serve_forever()
"""


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


def must(line: str) -> None:
    done = run(*line.split())
    assert done.returncode == 0, f"{line}: {done.stderr}"


@dataclass(frozen=True)
class Net:
    """The namespaces' names."""

    service: str
    host: str
    container: str

    def inside(self, where: str, *argv: str) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", where, *argv)

    def token(self, where: str) -> str:
        """A token, asked for from there; empty when no answer comes within two seconds."""
        url = f"http://{ADDRESS}/latest/api/token"
        lifetime = "X-aws-ec2-metadata-token-ttl-seconds: 60"
        done = self.inside(where, "curl", "-sf", "--max-time", "2", "-X", "PUT", "-H", lifetime, url)
        return done.stdout if done.returncode == 0 else ""

    def credentials(self, where: str, token: str) -> str:
        header = ("-H", f"X-aws-ec2-metadata-token: {token}") if token else ()
        url = f"http://{ADDRESS}/latest/meta-data/iam/security-credentials/host"
        done = self.inside(where, "curl", "-sf", "--max-time", "2", *header, url)
        return str(json.loads(done.stdout)["SecretAccessKey"]) if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    tag = f"{os.getpid()}"
    net = Net(f"qd-imds-{tag}", f"qd-host-{tag}", f"qd-box-{tag}")
    try:
        for name in (net.service, net.host, net.container):
            must(f"ip netns add {name}")
        must(f"ip -n {net.host} link add uplink type veth peer name eth0 netns {net.service}")
        must(f"ip -n {net.host} link add box type veth peer name eth0 netns {net.container}")
        must(f"ip -n {net.service} address add {ADDRESS}/32 dev eth0")
        must(f"ip -n {net.host} address add 10.88.0.1/24 dev box")
        must(f"ip -n {net.container} address add 10.88.0.2/24 dev eth0")
        for where, device in ((net.service, "eth0"), (net.host, "uplink"), (net.host, "box"), (net.container, "eth0")):
            must(f"ip -n {where} link set {device} up")
        must(f"ip -n {net.host} address add 10.99.0.1/32 dev uplink")
        must(f"ip -n {net.host} route add {ADDRESS}/32 dev uplink src 10.99.0.1")
        must(f"ip -n {net.service} route add 10.99.0.1/32 dev eth0")
        must(f"ip -n {net.service} route add default via 10.99.0.1 dev eth0")
        must(f"ip -n {net.container} route add default via 10.88.0.1")
        assert net.inside(net.host, "sysctl", "-qw", "net.ipv4.ip_forward=1").returncode == 0
        yield net
    finally:
        for name in (net.service, net.host, net.container):
            run("ip", "netns", "delete", name)


@pytest.fixture(params=[1, 2])
def hop_limit(request: pytest.FixtureRequest, net: Net) -> Iterator[int]:
    """The hop limit of the service that answers during a test."""
    limit: int = request.param
    argv = ["ip", "netns", "exec", net.service, sys.executable, "-I", "-c", SERVICE, str(limit)]
    process = subprocess.Popen(argv)
    try:
        deadline = time.monotonic() + 20
        while not net.token(net.host):
            assert time.monotonic() < deadline, "the metadata service does not answer"
        yield limit
    finally:
        process.kill()
        process.wait()


def test_with_hop_limit_1_only_the_host_gets_a_token_and_the_guard_holds_even_with_2(
    net: Net, hop_limit: int, stopwatch: Stopwatch
):
    with stopwatch.step(f"metadata behind hop limit {hop_limit}"):
        assert net.credentials(net.host, net.token(net.host)) == "secret"
        assert net.credentials(net.host, "") == "", "without a token there is nothing"
        assert net.token(net.container) == ("" if hop_limit == 1 else "token")
        if hop_limit == 1:
            return
        assert net.credentials(net.container, "token") == "secret", "the road itself is open"
        for _ in range(2):
            done = net.inside(net.host, str(GUARD))
            assert (done.returncode, done.stderr) == (0, "")
        listed = net.inside(net.host, "iptables", "--list-rules", "FORWARD").stdout
        assert listed.count(ADDRESS) == 1, "doing it twice adds nothing"
        assert net.token(net.container) == net.credentials(net.container, "token") == ""
        assert net.credentials(net.host, net.token(net.host)) == "secret"
