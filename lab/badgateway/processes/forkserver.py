"""A pre-imported process that forks hops and instances, and the handle by which a lab commands it.

Importing aiohttp and pydantic takes some 0.3 s; forking a process that has done so takes milliseconds.
`launch()` needs no event loop and imports nothing heavy, so that a command can call it first and import its
own things meanwhile.
"""

from __future__ import annotations

import array
import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from badgateway.chain.errors import EnvironmentProblem
from badgateway.processes.orphans import MARKER, kill_marked

CLOSE_DEADLINE = 6.0
"""Seconds for the fork server to end its children and itself, before it is killed."""


@dataclass(frozen=True, slots=True)
class Component:
    """What a forked process runs: `module.run(module.config_class.model_validate(config)) -> exit status`."""

    module: str
    config_class: str
    run: str


HOP = Component("badgateway_proxy", "HopConfig", "run_hop")
INSTANCE = Component("badgateway_upstream", "InstanceConfig", "run_instance")
WARM = (HOP.module, f"{HOP.module}.hop", INSTANCE.module)
"""What a fork server imports: the components, and the part of the hop that it loads only when it runs."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: by itself with `status`, or by the signal `signal`. Neither: nobody saw; see `why`."""

    status: int | None = None
    signal: int | None = None
    why: str = "vanished"

    def __str__(self) -> str:
        if self.signal is not None:
            return f"was killed by {signal.Signals(self.signal).name}"
        return self.why if self.status is None else f"exited with status {self.status}"


class Watcher(Protocol):
    """Is told of what becomes of a forked process, in the order in which it happened."""

    def forked(self, pid: int) -> None:
        """It exists."""

    def stopped(self) -> None:
        """It was frozen by SIGSTOP."""

    def continued(self) -> None:
        """It goes on after SIGCONT."""

    def exited(self, exit_: Exit) -> None:
        """It is dead, and so is every process of its group; or it could not be forked at all."""


class ForkServer:
    """Handle of one fork server. Use it from one event loop; several labs may share it.

    `run_id` is the value of BADGATEWAY_RUN in all its processes' environments.
    """

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, log: BinaryIO, run_id: str) -> None:
        self.run_id = run_id
        self._process, self._control, self._log = process, control, log
        self._keys = itertools.count(1)
        self._watchers: dict[int, Watcher] = {}
        self._outbox: deque[_Parcel] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._received = b""
        self._lost: list[Callable[[], None]] = []
        self.failure: str | None = None

    @classmethod
    def launch(
        cls,
        modules: Sequence[str] = WARM,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a fork server that imports `modules`; returns at once, while it imports.

        Raises:
            EnvironmentProblem: the process could not be started.
        """
        run_id = uuid.uuid4().hex
        ours, theirs = socket.socketpair()
        log = tempfile.TemporaryFile()  # noqa: SIM115 - the handle owns it
        command = [sys.executable, "-P", "-X", "utf8", "-m", "badgateway.processes.forkserver_main", *modules]
        try:
            process = subprocess.Popen(  # noqa: S603 - ourselves, by absolute path
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C and hang-up reach the lab alone, which then closes it
                env={**(os.environ if environ is None else environ), MARKER: run_id},
            )
        except OSError as error:
            ours.close()
            log.close()
            raise EnvironmentProblem(f"cannot start {sys.executable}: {error.strerror}") from error
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours, log, run_id)

    @property
    def pid(self) -> int:
        """Process id of the fork server itself."""
        return self._process.pid

    def on_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` once, should the fork server die; the returned function takes that back."""
        self._lost.append(callback)
        return lambda: self._lost.remove(callback) if callback in self._lost else None

    def spawn(
        self,
        component: Component,
        config: Mapping[str, Any],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        watcher: Watcher,
    ) -> int:
        """Have a process forked that runs `component` with `config` (JSON data); `watcher` hears of it.

        The descriptors are copied: the caller may close them. Returns a key for `send_signal`.

        Raises:
            EnvironmentProblem: the fork server is gone.
        """
        self._attach()
        key = next(self._keys)
        self._watchers[key] = watcher
        command = {
            "spawn": key,
            "module": component.module,
            "config_class": component.config_class,
            "run": component.run,
            "config": config,
        }
        self._post(command, (stdin, stdout, stderr))
        return key

    def send_signal(self, key: int, number: int, *, group: bool = False) -> None:
        """Have a signal sent to a forked process (or its whole group). Nothing happens if it is dead."""
        if key in self._watchers and self.failure is None:
            self._post({"signal": key, "number": int(number), "group": group})

    def keep(self, directory: Path) -> None:
        """Have a directory deleted when the lab is gone, killed perhaps, before it could do so itself.

        It need not exist yet.
        """
        self._attach()
        self._post({"directory": str(directory), "kept": True})

    def release(self, directory: Path) -> None:
        """The lab has deleted it."""
        if self.failure is None:
            self._post({"directory": str(directory), "kept": False})

    async def close(self) -> None:
        """End every process that is left, then the fork server. May be called twice; leaves nothing if cancelled."""
        self._detach()
        if self._process.poll() is None:
            loop = asyncio.get_running_loop()
            gone = asyncio.Event()
            descriptor = os.pidfd_open(self._process.pid)
            loop.add_reader(descriptor, gone.set)
            try:
                async with asyncio.timeout(CLOSE_DEADLINE):
                    await gone.wait()
            except TimeoutError:
                self._process.kill()
            finally:
                loop.remove_reader(descriptor)
                os.close(descriptor)
                self.close_now()
        else:
            self.close_now()

    def close_now(self) -> None:
        """As `close`, but blocking (some milliseconds) and without an event loop."""
        self._detach()
        try:
            self._process.wait(CLOSE_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        deadline = time.monotonic() + CLOSE_DEADLINE
        while kill_marked(self.run_id) and time.monotonic() < deadline:
            time.sleep(0.002)  # only after a fork server that could not do it: it was killed, or frozen
        self._tell_all(Exit(why="ended with the lab"))

    def _attach(self) -> None:
        if self.failure is not None:
            raise EnvironmentProblem(self.failure)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._control, self._receive)

    def _detach(self) -> None:
        """Close the control socket, on which the fork server kills its children and exits."""
        self.failure = self.failure or "the fork server is closed"
        if self._loop is not None and not self._loop.is_closed() and self._control.fileno() >= 0:
            self._loop.remove_reader(self._control)
            self._loop.remove_writer(self._control)
        self._control.close()
        while self._outbox:
            self._outbox.popleft().close()

    def _post(self, command: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        data = json.dumps(command).encode() + b"\n"
        self._outbox.append(_Parcel(data, [os.dup(descriptor) for descriptor in descriptors]))
        self._flush()

    def _flush(self) -> None:
        try:
            while self._outbox:
                if self._outbox[0].send(self._control):
                    self._outbox.popleft().close()
        except BlockingIOError:
            if self._loop is not None:
                self._loop.add_writer(self._control, self._flush)
            return
        except OSError:
            self._fail()
            return
        if self._loop is not None:
            self._loop.remove_writer(self._control)

    def _receive(self) -> None:
        try:
            data = self._control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._fail()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._handle(json.loads(line))

    def _handle(self, report: dict[str, Any]) -> None:
        kind, key = next(iter(report.items()))
        match kind:
            case "spawned":
                self._watchers[key].forked(report["pid"])
            case "stopped":
                self._watchers[key].stopped()
            case "continued":
                self._watchers[key].continued()
            case "exited":
                self._watchers.pop(key).exited(Exit(report["status"], report["signal"]))
            case "refused":
                self._watchers.pop(key).exited(Exit(why=report["why"]))

    def _fail(self) -> None:
        """The fork server died, and with it (see PR_SET_PDEATHSIG) all of its children."""
        if self.failure is not None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.returncode
        exit_ = Exit() if code is None else Exit(signal=-code) if code < 0 else Exit(status=code)
        self.failure = f"the fork server (pid {self.pid}) {exit_}, and every process of the lab with it"
        if exit_.status:
            self._log.seek(0)
            self.failure += ":\n" + self._log.read().decode(errors="replace").strip()
        self._detach()
        kill_marked(self.run_id)
        self._tell_all(Exit(why="ended with the fork server"))
        for callback in list(self._lost):
            callback()

    def _tell_all(self, exit_: Exit) -> None:
        watchers, self._watchers = list(self._watchers.values()), {}
        for watcher in watchers:
            watcher.exited(exit_)


class _Parcel:
    """Bytes to send, and the descriptors that travel with the first of them."""

    def __init__(self, data: bytes, descriptors: list[int]) -> None:
        self._data, self._descriptors = data, descriptors

    def send(self, control: socket.socket) -> bool:
        """Send what the socket takes; True when all has gone."""
        rights = []
        if self._descriptors:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self._descriptors))]
        sent = control.sendmsg([self._data], rights)
        self._data = self._data[sent:]
        self.close()
        return not self._data

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())
