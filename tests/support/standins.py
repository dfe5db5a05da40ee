"""Small components to fork in tests of the fork server and the supervisor: each does one thing that a real
one might.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import Any, Self


class Config:
    """What a stand-in is told; validates as a pydantic model does, by `model_validate`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @classmethod
    def model_validate(cls, values: dict[str, Any]) -> Self:
        return cls(values)


def say(event: str, **values: Any) -> None:
    """Print one event line, as the components do."""
    print(json.dumps({"event": event, **values}), flush=True)


def run(config: Config) -> int:
    """Do what `config` says, then say ready and stay until stdin closes or SIGTERM arrives."""
    values = config.values
    before_ready(values)
    if "exit" in values:
        return int(values["exit"])
    say(
        "ready",
        pid=os.getpid(),
        group=os.getpgid(0),
        descriptors=sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
        random=random.random(),
    )
    after_ready(values)
    sys.stdin.read()
    return 0


def before_ready(values: dict[str, Any]) -> None:
    """What goes wrong, or is set up, while it starts."""
    if "stderr" in values:
        print(values["stderr"], file=sys.stderr, flush=True)
    if "raise" in values:
        raise RuntimeError(values["raise"])
    if "grandchild" in values:
        subprocess.Popen(["sleep", str(values["grandchild"])])
    if values.get("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if values.get("never_ready"):
        time.sleep(600)


def after_ready(values: dict[str, Any]) -> None:
    """What it does to itself later."""
    if "last_words" in values:
        for n in range(int(values["last_words"])):
            say("words", n=n)
        os.kill(os.getpid(), signal.SIGKILL)
    if values.get("freeze"):
        os.kill(os.getpid(), signal.SIGSTOP)
        say("thawed")
    if values.get("deaf"):
        time.sleep(600)
