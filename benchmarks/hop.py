"""Starts the proxy under test: one hop with its default settings, but for what a figure says it changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from benchmarks.stage import Child, Stage

_RUN = """\
import sys
if sys.argv[2] == "asyncio":
    sys.modules["uvloop"] = None  # importing it fails, as where the extra is not installed
from badgateway_proxy import HopConfig, run_hop
sys.exit(run_hop(HopConfig.model_validate_json(sys.argv[1])))
"""


def has_uvloop() -> bool:
    """Whether the extra that a hop uses when it is there is installed here."""
    return find_spec("uvloop") is not None


def start_hop(
    stage: Stage, upstream: str, *, cpu: int, settings: Mapping[str, Any] | None = None, loop: str = "asyncio"
) -> tuple[Child, int]:
    """A hop before ``upstream`` (``host:port``); returns it and the port it listens on.

    ``settings`` are members of HopConfig; ``loop`` is asyncio, as after a plain installation, or uvloop.
    """
    config = {
        "name": "bench",
        "listen": {"host": "127.0.0.1", "port": 0},
        "admin": {"host": "127.0.0.1", "port": 0, "token": "benchmark"},
        "upstreams": [upstream],
        "exit_with_stdin": True,
        **(settings or {}),
    }
    child = stage.python_code(_RUN, json.dumps(config), loop, cpu=cpu)
    return child, int(str(child.ready()["listen"]).rpartition(":")[2])
