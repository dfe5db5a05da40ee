"""The fork server's own process: imports the components once, then forks a process for each command.

Run by `badgateway.processes.forkserver.ForkServer`, with one end of a socket pair as stdin. Commands come in as JSON
lines (a spawn brings three file descriptors along: the child's stdin, stdout and stderr):

    {"spawn": key, "module": …, "config_class": …, "run": …, "config": {…}}
    {"signal": key, "number": n, "group": true|false}
    {"directory": path, "kept": true|false}

and reports go out:

    {"spawned": key, "pid": n}
    {"refused": key, "why": text}
    {"stopped": key}
    {"continued": key}
    {"exited": key, "status": n|null, "signal": n|null}

A child is called in the kernel's tables what `name` in its config says: `bg-app-1` to ps, top and pgrep.
Keys are chosen by the other side and never reused, so a signal cannot reach a stranger that got an old pid.
When the other side closes the socket, or dies (SIGKILL included), every child's group is killed, frozen
ones too, and the directories that were kept until then are deleted.

No threads, and nothing here that a fork could not copy.
"""

from __future__ import annotations

import array
import ctypes
import gc
import importlib
import json
import os
import random
import select
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
FDS_PER_CHILD = 3
LAST_WAIT = 5.0
"""Seconds in which killed children are waited for at the end: SIGKILL takes effect at once unless the disk hangs."""
PARENT_CHECK = 1.0
"""Seconds between looks at whether our parent lives: a copy of its socket in some other process would hide
its end.
"""


@dataclass(slots=True)
class _Child:
    key: int
    pid: int


class Server:
    """Forks, watches and ends children as told over `control`."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, _Child] = {}
        self._received = b""
        self._descriptors: list[int] = []
        self._directories: set[str] = set()
        self._parent = os.getppid()

    def serve(self) -> None:
        """Obey until the control socket closes; then kill all that is left."""
        wakeup, wakeup_end = os.pipe()
        for end in (wakeup, wakeup_end):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakeup_end, warn_on_full_buffer=False)
        # poll, as it holds no descriptor of its own that a child would inherit
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wakeup, select.POLLIN)
        try:
            while os.getppid() == self._parent:
                ready = dict(poll.poll(PARENT_CHECK * 1000))
                if wakeup in ready:
                    os.read(wakeup, 4096)
                    self._report_changes()
                if self._control.fileno() in ready and not self._obey():
                    return
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            self._end_all()

    def _obey(self) -> bool:
        """Read what has come and act on it; False once the other side has closed."""
        space = socket.CMSG_SPACE(FDS_PER_CHILD * array.array("i").itemsize)
        data, ancillary, _, _ = self._control.recvmsg(65536, space)
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors += array.array("i", payload)
        if not data:
            return False
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            command: dict[str, Any] = json.loads(line)
            if "spawn" in command:
                self._spawn(command)
            elif "signal" in command:
                self._signal(command)
            elif command["kept"]:
                self._directories.add(command["directory"])
            else:
                self._directories.discard(command["directory"])
        return True

    def _spawn(self, command: dict[str, Any]) -> None:
        descriptors, self._descriptors = self._descriptors[:FDS_PER_CHILD], self._descriptors[FDS_PER_CHILD:]
        key, parent = command["spawn"], os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._report({"refused": key, "why": f"fork failed: {error.strerror}"})
        else:
            if pid == 0:
                _become(command, descriptors, parent)
            with suppress(OSError):
                os.setpgid(pid, pid)  # the child does so too: whoever comes first, no signal to the group is lost
            self._children[pid] = _Child(key, pid)
            self._report({"spawned": key, "pid": pid})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _signal(self, command: dict[str, Any]) -> None:
        for child in self._children.values():
            if child.key == command["signal"]:
                _send(child.pid, command["number"], group=command["group"])

    def _report_changes(self) -> None:
        """Report every child that stopped, went on or died since the last look."""
        for child in list(self._children.values()):
            with suppress(ChildProcessError):  # which is what a dead child gives here
                changed = os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
                if changed is not None:
                    self._report({"stopped" if changed.si_code == os.CLD_STOPPED else "continued": child.key})
            # WNOWAIT keeps a dead child's pid, and so its group's id, ours while we kill what it left behind
            ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                self._bury(child, ended.si_code == os.CLD_EXITED, ended.si_status)

    def _bury(self, child: _Child, exited: bool, status: int) -> None:
        _send(child.pid, signal.SIGKILL, group=True)
        os.waitpid(child.pid, 0)
        del self._children[child.pid]
        self._report({"exited": child.key, "status": status if exited else None, "signal": None if exited else status})

    def _report(self, report: dict[str, Any]) -> None:
        self._control.sendall(json.dumps(report).encode() + b"\n")

    def _end_all(self) -> None:
        deadline = time.monotonic() + LAST_WAIT
        for pid in self._children:
            _send(pid, signal.SIGCONT, group=True)
            _send(pid, signal.SIGKILL, group=True)
        while self._children and time.monotonic() < deadline:
            for pid in list(self._children):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self._children[pid]
            if self._children:
                time.sleep(0.002)
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)


def _send(pid: int, number: int, *, group: bool) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _become(command: dict[str, Any], descriptors: list[int], parent: int) -> NoReturn:
    """In the forked child: cut every tie to the fork server, then run the component. Never returns."""
    status = 1
    try:
        _isolate(descriptors, parent)
        _prctl(PR_SET_NAME, f"bg-{command['config'].get('name', '')}".encode())
        module = importlib.import_module(command["module"])
        config = getattr(module, command["config_class"]).model_validate(command["config"])
        status = getattr(module, command["run"])(config)
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except KeyboardInterrupt:
        status = 130
    except BaseException:  # noqa: BLE001 - the process ends right after, and its log says why
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status if 0 <= status < 256 else 1)


def _isolate(descriptors: list[int], parent: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(OSError):
        os.setpgid(0, 0)
    _die_with(parent)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    for name in os.listdir("/dev/fd"):
        if int(name) >= FDS_PER_CHILD:
            with suppress(OSError):  # the one that was open for listing
                os.close(int(name))
    random.seed()


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` dies, even while it is frozen."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int | bytes) -> None:
    """Set the name of this process, or the signal that it gets when its parent dies (prctl(2); Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def main(modules: list[str]) -> None:
    """Import `modules`, then serve on the socket that is stdin."""
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _prctl(PR_SET_NAME, b"bg-forkserver")
    _prctl(PR_SET_PDEATHSIG, signal.SIGCONT)  # were we frozen then, we could not clean up
    for module in modules:
        importlib.import_module(module)
    # what is imported stays: no collection touches it, so its pages stay shared with the children
    gc.collect()
    gc.freeze()
    Server(control).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
