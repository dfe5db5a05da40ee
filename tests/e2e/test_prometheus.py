"""compose/prometheus.yaml, the alerts and the dashboard's queries before a real Prometheus, which scrapes real hops.

promtool and prometheus come from Debian's package prometheus (`sh .ci/packages`).
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from badgateway.processes.ports import Reservations
from tests.support.clitools import Cli
from tests.support.processes import wait_until
from tests.support.prometheus import REQUESTS, Prometheus
from tests.support.tools import require

FOLDER = Path(__file__).parents[2] / "compose"
RULES = FOLDER / "badgateway-rules.yaml"
PANELS = json.loads((FOLDER / "grafana" / "dashboard.json").read_text(encoding="utf-8"))["panels"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def promtool(*words: str) -> None:
    require("promtool")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", str(RULES))


# What is counted each minute of three days and an hour, by status; and what fires at the end.
END = 3 * 24 * 60 + 60
CASES = {
    "no errors": ({"200": "0+600x4380"}, set()),
    "a fifth is 5xx for ten minutes": (
        {"200": "0+600x4380", "503": "0x4369 0+150x10"},
        {"ErrorBudgetBurnFast"},
    ),
    "half is 404 and 403": ({"200": "0+600x4380", "404": "0+300x4380", "403": "0+300x4380"}, set()),
    "half is 429 for half an hour": (
        {"200": "0+600x4380", "429": "0x4349 0+600x30"},
        {"TooManyRequestsBurst"},
    ),
    "two in a thousand are 500, for three days": (
        {"200": "0+998x4380", "500": "0+2x4380"},
        {"ErrorBudgetBurnSlow"},
    ),
    "four failures in hardly any traffic": ({"200": "0+1x4380", "500": "0x4376 1 2 3 4"}, set()),
}


@pytest.mark.parametrize("case", CASES)
def test_the_alerts_fire_where_they_should(case: str, tmp_path: Path) -> None:
    counted, firing = CASES[case]
    alerts = [rule for group in YAML(typ="safe", pure=True).load(RULES)["groups"] for rule in group["rules"]]
    series = [
        {"series": f'{REQUESTS}{{job="lb", http_response_status_code="{status}"}}', "values": values}
        for status, values in counted.items()
    ]
    expected = [
        {
            "alertname": rule["alert"],
            "eval_time": f"{END}m",
            "exp_alerts": [
                {
                    "exp_labels": {"job": "lb", **rule["labels"]},
                    "exp_annotations": {
                        name: text.replace("{{ $labels.job }}", "lb") for name, text in rule["annotations"].items()
                    },
                }
            ]
            if rule["alert"] in firing
            else [],
        }
        for rule in alerts
        if "alert" in rule
    ]
    file = tmp_path / "test.yaml"
    file.write_text(
        json.dumps(
            {
                "rule_files": [str(RULES)],
                "evaluation_interval": "5m",
                "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": expected}],
            }
        )
    )
    promtool("test", "rules", str(file))


# -- the server -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A chain of real processes, whose app answers garbage for one path, and a Prometheus that scrapes its hops."""

    prometheus: Prometheus
    port: int

    def ask(self, path: str) -> int:
        """The status that the CDN answers with."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    require("prometheus")
    directory = tmp_path_factory.mktemp("prometheus")
    reservations, cli = Reservations(), Cli(directory)
    ports = {name: reservations.take() for name in ("app", "lb", "cdn", "lb:9500", "cdn:9500", "prometheus")}
    token = directory / "token"
    try:
        _start_chain(cli, ports, token)
        config = directory / "prometheus.yaml"
        config.write_text(_on_loopback(ports, token))
        promtool("check", "config", str(config))
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}"]
        cli.start_other([*command, f"--web.listen-address=127.0.0.1:{ports['prometheus']}"])
        yield Scene(Prometheus(ports["prometheus"]), ports["cdn"])
    finally:
        cli.kill_all()
        reservations.close()


def _start_chain(cli: Cli, ports: dict[str, int], token: Path) -> None:
    fault = "{kind: garbage, for: 10m, when: {path: /products/1}}"
    commands = [["badgateway_upstream", "--name=app-1", f"--listen=127.0.0.1:{ports['app']}", f"--fault={fault}"]] + [
        [
            "badgateway_proxy", f"--name={name}", f"--tier={name}", f"--listen=127.0.0.1:{ports[name]}",
            f"--upstream=http://127.0.0.1:{ports[behind]}", f"--admin=127.0.0.1:{ports[f'{name}:9500']}",
            f"--token-file={token}", "--set=breaker.enabled=false",
        ]
        for name, behind in (("lb", "app"), ("cdn", "lb"))
    ]  # fmt: skip
    for running in [cli.start_other([sys.executable, "-m", *command]) for command in commands]:
        running.until('"ready"')


def _on_loopback(ports: dict[str, int], token: Path) -> str:
    """The file of the profile with the addresses of this scene, and quicker; all else is as it is there."""
    text = (FOLDER / "prometheus.yaml").read_text(encoding="utf-8")
    for old, new in {
        "scrape_interval: 5s": "scrape_interval: 250ms",
        "evaluation_interval: 15s": "evaluation_interval: 1s",
        "/etc/prometheus/badgateway-rules.yaml": str(RULES),
        "/tmp/token": str(token),
        "cdn:9500": f"127.0.0.1:{ports['cdn:9500']}",
        "lb:9500": f"127.0.0.1:{ports['lb:9500']}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    return text


def test_both_hops_are_scraped_and_5xx_page_while_4xx_do_not(scene: Scene) -> None:
    prometheus = scene.prometheus
    wait_until(lambda: prometheus.targets() == {"cdn": "up", "lb": "up"}, deadline=60, what="both targets are up")

    def asked(path: str, status: int) -> bool:
        assert scene.ask(path) == status
        return True

    wait_until(lambda: asked("/nothing", 404) and prometheus.counted("cdn", "4..") > 20, deadline=60, what="4xx")
    before = max(str(rule["lastEvaluation"]) for rule in prometheus.rules())
    wait_until(lambda: prometheus.evaluated() > before, deadline=60, what="another evaluation")
    assert prometheus.alerts() == {}

    paged = {"cdn", "lb"}  # both relayed it, and each is a job of its own
    wait_until(
        lambda: asked("/products/1", 502) and prometheus.alerts().get("ErrorBudgetBurnFast") == paged,
        deadline=60,
        what="a page",
    )
    assert "TooManyRequestsBurst" not in prometheus.alerts()
    assert {rule["health"] for rule in prometheus.rules()} == {"ok"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_something_with_every_label_that_its_legend_names(scene: Scene, panel: dict[str, Any]) -> None:
    wait_until(lambda: scene.prometheus.targets() == {"cdn": "up", "lb": "up"}, deadline=60, what="both targets are up")
    for target in panel["targets"]:
        expression = target["expr"].replace("$__rate_interval", "1m")
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))

        def shown(expression: str = expression, named: set[str] = named) -> bool:
            assert scene.ask("/products/1") == 502
            return named <= {label for sample in scene.prometheus.query(expression) for label in sample["metric"]}

        assert named
        wait_until(shown, deadline=60, what=f"{expression}: {named}")


def test_the_dashboard_asks_the_source_that_is_provisioned() -> None:
    (source,) = YAML(typ="safe", pure=True).load(FOLDER / "grafana" / "datasource.yaml")["datasources"]
    assert {(panel["datasource"]["type"], panel["datasource"]["uid"]) for panel in PANELS} == {
        (source["type"], source["uid"])
    }
