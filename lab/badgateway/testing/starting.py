"""A lab in processes of its own, which end with the process that started them, however that ends.

`badgateway up` holds the chain. Its stdin is a pipe whose other end only this process has: the kernel closes it when
this process is gone, killed or not, and then the chain closes itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from badgateway.chain.errors import EnvironmentProblem
from badgateway.control.client import ControlClient
from badgateway.testing.lab import Lab

__tracebackhide__ = True
"""For pytest: what fails is shown where a test called, not in here."""

READY = 30.0
"""Seconds for a chain to get ready; it takes about one."""
CLOSING = 10.0
"""Seconds for it to close in order."""
POLL = 0.01


@dataclass(frozen=True)
class Wish:
    """What a lab should be like.

    `chain`: what differs from the default chain, as under `chain:` in a scenario. `scenario`: an id or a file, whose
    chain it gets, with what breaks it done. `backend`: a real service, to which the instances relay.
    """

    chain: Mapping[str, Any] | None = None
    scenario: str | None = None
    backend: str | None = None
    instances: int | None = None
    allow_public: bool = False

    @property
    def key(self) -> str:
        """The same for labs that are alike."""
        return json.dumps(asdict(self), sort_keys=True)

    def options(self, directory: Path) -> list[str]:
        """As options of `badgateway up`; a file that one names is written to `directory`."""
        options = []
        if self.chain is not None:
            file = directory / "chain.yaml"
            file.write_text(json.dumps(self.chain), encoding="utf-8")  # JSON is YAML
            options.append(f"--chain={file}")
        if self.scenario is not None:
            options.append(f"--scenario={self.scenario}")
        if self.backend is not None:
            options.append(f"--backend={self.backend}")
        if self.instances is not None:
            options.append(f"--instances={self.instances}")
        if self.allow_public:
            options.append("--allow-public")
        return options


class LabProcess:
    """A `badgateway up` of ours. `start` it, and `close` it."""

    def __init__(self, process: subprocess.Popen[bytes], control: ControlClient) -> None:
        self._process = process
        self.control = control

    @classmethod
    def start(cls, wish: Wish) -> LabProcess:
        """Start a lab; returns when every process of it is ready.

        Raises:
            EnvironmentProblem: it did not get ready; the message is its own.
        """
        with tempfile.TemporaryDirectory(prefix="badgateway-") as name, tempfile.TemporaryFile() as words:
            directory = Path(name)
            file = directory / "ready.json"
            command = [sys.executable, "-m", "badgateway", "up", "--free-ports", "--quiet", "--exit-with-stdin"]
            process = subprocess.Popen(  # noqa: S603  (our own command; what the test asks for are arguments of it)
                [*command, f"--ready-file={file}", *wish.options(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,  # Ctrl-C is for the tests; they close the lab in order
            )
            _open.add(process)
            try:
                _wait_for(file, process, words)
                ready = json.loads(file.read_text(encoding="utf-8"))
            except BaseException:
                process.kill()  # its chain ends with it
                _reap(process)
                raise
        return cls(process, ControlClient(ready["control"], ready["token"]))

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it with all of its processes, and wait until they are gone. May be called twice."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(CLOSING)
        except subprocess.TimeoutExpired:
            self._process.kill()
        _reap(self._process)


_open: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()


def _let_go() -> None:
    """In a forked child: do not keep the labs of the parent alive when that is gone."""
    for process in _open:
        if process.stdin is not None:
            process.stdin.close()


os.register_at_fork(after_in_child=_let_go)


def _reap(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.wait()
    _open.discard(process)


def _wait_for(file: Path, process: subprocess.Popen[bytes], words: IO[bytes]) -> None:
    end = time.monotonic() + READY
    while not file.exists():
        if process.poll() is not None:
            raise EnvironmentProblem(f"the lab ended before it was ready:\n{_said(words, file.parent)}")
        if time.monotonic() > end:
            raise EnvironmentProblem(f"the lab was not ready within {READY:g} s:\n{_said(words, file.parent)}")
        time.sleep(POLL)


def _said(words: IO[bytes], directory: Path) -> str:
    """What it wrote to stderr. `directory`: ours, which is gone when somebody reads this."""
    words.seek(0)
    return words.read().decode(errors="replace").replace(f"{directory}/", "").strip()


@contextmanager
def running(
    chain: Mapping[str, Any] | None = None,
    *,
    scenario: str | None = None,
    backend: str | None = None,
    instances: int | None = None,
    allow_public: bool = False,
) -> Iterator[Lab]:
    """A lab for the block: on free ports, in processes of its own, gone behind the block.

    Args:
        chain: what differs from the default chain, `{"lb": {"retry": {"attempts": 3}}}`.
        scenario: the id or the file of a scenario, whose chain it gets, with what breaks it done.
        backend: a service of yours; the apps relay to it and break its answers.
        instances: how many instances the app has; 2 unless the chain says.
        allow_public: let `backend` be a public address.

    Raises:
        EnvironmentProblem: it did not get ready.
    """
    process = LabProcess.start(Wish(chain, scenario, backend, instances, allow_public))
    try:
        yield Lab(process.control)
    finally:
        process.close()
