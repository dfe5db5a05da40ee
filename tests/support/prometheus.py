"""Asking a Prometheus server over its HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any

REQUESTS = "http_server_request_duration_seconds_count"


class Prometheus:
    """A server at this address of loopback."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/"

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer. Raises OSError; HTTPError, which is one, where a query is no PromQL."""
        url = f"{self._url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=20) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples that PromQL selects now: `metric` (the labels) and `value`."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def targets(self) -> dict[str, str]:
        """Each job's health: up, down, unknown. Empty while the server does not answer."""
        try:
            found = self.get("targets")["activeTargets"]
        except OSError:
            return {}
        return {each["labels"]["job"]: each["health"] for each in found}

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with how and when it was evaluated last."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def evaluated(self) -> str:
        """When the rules were evaluated, the earliest of them (RFC 3339)."""
        return min(str(rule["lastEvaluation"]) for rule in self.rules())

    def alerts(self) -> dict[str, set[str]]:
        """Which alerts fire, and for which jobs."""
        found: dict[str, set[str]] = {}
        for each in self.get("alerts")["alerts"]:
            found.setdefault(each["labels"]["alertname"], set()).add(each["labels"]["job"])
        return found

    def counted(self, job: str, statuses: str) -> float:
        """How many responses with such a status it has counted since it first saw one."""
        series = f'{REQUESTS}{{job="{job}", http_response_status_code=~"{statuses}"}}'
        return sum(float(sample["value"][1]) for sample in self.query(f"increase({series}[1h])"))
