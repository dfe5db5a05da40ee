"""Starts the proxy under test: one hop with its default settings, but for what a figure says it changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.stage import Child, Stage

_RUN = """\
import sys
from badgateway_proxy import HopConfig, run_hop
sys.exit(run_hop(HopConfig.model_validate_json(sys.argv[1])))
"""


def start_hop(
    stage: Stage,
    upstream: str,
    *,
    cpu: int,
    settings: Mapping[str, Any] | None = None,
    python: str | None = None,
) -> tuple[Child, int]:
    """A hop before ``upstream`` (``host:port``); returns it and the port it listens on.

    ``settings`` are members of HopConfig; ``python`` another interpreter that has the package.
    """
    config = {
        "name": "bench",
        "listen": {"host": "127.0.0.1", "port": 0},
        "admin": {"host": "127.0.0.1", "port": 0, "token": "benchmark"},
        "upstreams": [upstream],
        "exit_with_stdin": True,
        **(settings or {}),
    }
    child = stage.python_code(_RUN, json.dumps(config), cpu=cpu, python=python)
    return child, int(str(child.ready()["listen"]).rpartition(":")[2])
