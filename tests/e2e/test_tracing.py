"""Traces of real processes, as a collector gets them: by OTLP, from a hop, and from a chain whose hops join up."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.answers import read_answer
from tests.support.clitools import Cli
from tests.support.collector import collector
from tests.support.exchanges import status
from tests.support.hopprocess import HopProcess, hop_process
from tests.support.peers import field, healthy, refused_address, says
from tests.support.processes import wait_until
from tests.support.rawclient import raw_client
from tests.support.wire import raw_upstream

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

#: Longer than any test: what comes earlier was sent because the hop ended.
AT_THE_END = "tracing.schedule_delay=10m"


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    cli.kill_all()


async def asked(hop: HopProcess) -> int:
    async with raw_client(hop.address) as client:
        await client.get("/", f"traceparent: 00-{TRACE}-{PARENT}-01", "Connection: close")
        return read_answer(await client.all()).status


async def test_a_hop_sends_its_spans_to_a_collector_the_last_ones_when_it_ends() -> None:
    broken = says(status(503))
    with collector() as collected:
        tracing = ("tracing.enabled=true", f"tracing.otlp_endpoint={collected.url}/otlp", AT_THE_END)
        async with raw_upstream(broken) as upstream, hop_process(upstream.address, *tracing) as hop:
            assert await asked(hop) == 503
            hop.process.send_signal(signal.SIGTERM)
            assert await hop.ended() == (0, "")
    assert collected.paths == {"/otlp/v1/traces"}
    (server,), (client,) = collected.of("lb", "SERVER"), collected.of("lb", "CLIENT")
    assert (server.trace_id, server.parent) == (client.trace_id, PARENT) == (TRACE, PARENT)
    assert client.parent == server.id
    assert field(upstream.heads[0], b"traceparent") == f"00-{TRACE}-{client.id}-01".encode()
    assert server.attributes["http.response.status_code"] == 503
    assert client.attributes["url.full"] == f"http://{upstream.address}/"
    assert server.span.start_time_unix_nano <= client.span.start_time_unix_nano
    assert client.span.end_time_unix_nano <= server.span.end_time_unix_nano


async def test_a_collector_that_is_gone_harms_nobody() -> None:
    with refused_address() as nobody:
        tracing = ("tracing.enabled=true", f"tracing.otlp_endpoint=http://{nobody}", "tracing.schedule_delay=10ms")
        await _serves_and_ends(*tracing)


async def test_nor_does_one_that_never_answers() -> None:
    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    await _serves_and_ends("tracing.enabled=true", f"tracing.otlp_endpoint=http://127.0.0.1:{port}", AT_THE_END)
    assert held
    silent.close()
    for writer in held:
        writer.close()


async def _serves_and_ends(*tracing: str) -> None:
    async with raw_upstream(healthy) as upstream, hop_process(upstream.address, *tracing) as hop:
        for _ in range(5):
            assert await asked(hop) == 200
        begun = time.monotonic()
        hop.process.send_signal(signal.SIGTERM)
        exit_status, _ = await hop.ended()
        # The exporter alone would go on for 10 s; the hop gives its last spans one.
        assert (exit_status, time.monotonic() - begun < 8) == (0, True)


@pytest.mark.slow
def test_the_spans_of_a_chain_are_one_trace(cli: Cli) -> None:
    with collector() as collected:
        tracing = f"{{tracing: {{enabled: true, otlp_endpoint: '{collected.url}'}}}}"
        chain = cli.temporary.parent / "chain.yaml"
        chain.write_text(f"cdn: {tracing}\nlb: {tracing}\n")
        up = cli.up("--chain", str(chain))
        cdn = next(line.split()[1] for line in up.lines if line.startswith("cdn "))
        with urllib.request.urlopen(f"{cdn}/products", timeout=20) as response:
            assert response.status == 200
        wait_until(lambda: len(collected.spans) >= 4, what=up.text)
        up.send(signal.SIGINT)
        assert up.wait() == 130, up.text
    assert len(collected.spans) == 4
    (asked_cdn,), (cdn_asks) = collected.of("cdn", "SERVER"), collected.of("cdn", "CLIENT")
    (asked_lb,), (lb_asks) = collected.of("lb", "SERVER"), collected.of("lb", "CLIENT")
    way = [asked_cdn, *cdn_asks, asked_lb, *lb_asks]
    assert {span.trace_id for span in way} == {asked_cdn.trace_id}
    assert [span.parent for span in way] == ["", *(span.id for span in way[:-1])]


# -- an optional extra ----------------------------------------------------------------------------------

WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("opentelemetry", "requests", "google"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
"""


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_a_hop_that_does_not_trace_imports_nothing_of_it() -> None:
    ran = python(
        "import asyncio, sys, badgateway_proxy.process.serve\n"
        "from badgateway_proxy.configuration.config import HopConfig\n"
        "from badgateway_proxy.hop import Hop\n"
        "async def main(): Hop(HopConfig(upstreams=('127.0.0.1:1',))).close()\n"
        "asyncio.run(main())\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'opentelemetry', 'requests', 'urllib3', 'google'})\n"
        "print([name for name in sys.modules if name.startswith('badgateway_proxy.tracing.tracer')])"
    )
    assert (ran.returncode, ran.stdout) == (0, "set()\n[]\n"), ran.stderr


def test_without_the_extra_all_else_works() -> None:
    ran = python(f"{WITHOUT}\nimport badgateway.cli, badgateway.chain.lab, badgateway_proxy.process.serve; print('ok')")
    assert (ran.returncode, ran.stdout) == (0, "ok\n"), ran.stderr


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("badgateway_proxy", ["--upstream", "127.0.0.1:1", "--set", "tracing.enabled=true"]),
        ("badgateway", ["up", "--chain", "chain.yaml"]),
    ],
)
def test_and_who_asks_for_traces_is_told_what_to_install(
    module: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chain.yaml").write_text("cdn: {tracing: {enabled: true}}\n")
    monkeypatch.chdir(tmp_path)
    ran = python(
        f"{WITHOUT}\nimport runpy\nsys.argv[1:] = {arguments}\nrunpy.run_module({module!r}, run_name='__main__')"
    )
    assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
    assert 'OpenTelemetry is not installed; run: pip install "badgateway[otel]"' in ran.stderr
    assert "Traceback" not in ran.stderr
    print(ran.stderr)
