"""What process faults do to this very process. Nothing here is simulated."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from badgateway_upstream.app.databasetrouble import DatabaseTrouble, How
from badgateway_upstream.app.storage import Storage
from badgateway_upstream.engine.descriptors import Descriptors
from badgateway_upstream.engine.memory import Leak, resident
from badgateway_upstream.wire.listener import Listener

_LOOK_AGAIN: Final = 0.02


class Closable(Protocol):
    """A client's connection."""

    def close_if_idle(self) -> None:
        """Close it in good order."""

    def abort(self) -> None:
        """Close it now."""


class ThisProcess:
    """The `registry.ProcessControls` of a running instance."""

    def __init__(self, listener: Listener, storage: Storage, idle: Callable[[], Iterable[Closable]]) -> None:
        self._listener = listener
        self._storage = storage
        self._idle = idle
        self._descriptors = Descriptors()
        self._taking: asyncio.TimerHandle | None = None
        self._leak = Leak()
        self.database: DatabaseTrouble | None = None
        self.accept_control = self._descriptors.accept

    def kill(self) -> None:
        """SIGKILL this process: the kernel closes its sockets."""
        os.kill(os.getpid(), signal.SIGKILL)

    def exit(self, status: int) -> None:
        """Leave at once, as an app does that calls exit() somewhere deep down."""
        os._exit(status)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP this process. Returns when it goes on: after so many seconds, or when it was sent SIGCONT.

        A child wakes us up. Its stdin is a pipe that only we hold: when we are killed while frozen, or woken up by
        somebody else, it ends at once, so that nobody waits for it. ("timeout 0" would mean: for ever.)
        """
        script = 'timeout "$1" cat >/dev/null; kill -CONT "$2"'
        with subprocess.Popen(  # noqa: S603 - a constant program and two numbers
            ["/bin/sh", "-c", script, "badgateway-thaw", f"{max(seconds, 0.001):.3f}", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as waker:
            # To this very thread, so that it has stopped before the call returns.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            with contextlib.suppress(BrokenPipeError):
                if waker.stdin is not None:
                    waker.stdin.close()

    def stop_listening(self) -> None:
        """Close the listening socket."""
        self._listener.close()

    def fill_accept_queue(self) -> None:
        """Fill the accept queue."""
        self._listener.fill()

    def listen_again(self) -> None:
        """Undo the two above."""
        self._listener.listen_again()

    def close_idle(self) -> None:
        """Close kept-alive connections that have no request."""
        for connection in self._idle():
            connection.close_if_idle()

    def state(self) -> dict[str, Any]:
        """What it uses: descriptors, and bytes of memory."""
        with self._descriptors.beyond():
            in_memory = resident()
        return {"descriptors": self._descriptors.state(), "resident": in_memory}

    def exhaust_descriptors(self, limit: int, *, close_idle: bool) -> str:
        """Use up all file descriptors, those of idle connections included if ``close_idle``."""
        if close_idle:
            for connection in self._idle():
                connection.abort()  # not in good order: that would keep each open until its peer has closed, too
        evidence = self._descriptors.exhaust(limit)
        # What is closed frees a descriptor in the loop's next turn, and a leak would soon have that, too.
        asyncio.get_running_loop().call_soon(self._take_the_rest)
        return evidence

    def restore_descriptors(self) -> None:
        """Undo that."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        self._descriptors.restore()
        self._listener.go_on()

    def leak_memory(self, amount: int, over: float, limit: int | None) -> str:
        """Grow by so many bytes, and be killed beyond ``limit``."""
        return self._leak.begin(amount, over, limit)

    def free_memory(self) -> None:
        """Undo that."""
        self._leak.end()

    def _take_the_rest(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
        if self._descriptors.exhausted:
            self._descriptors.take_the_rest()
            self._taking = asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._take_the_rest)

    def lock_database(self) -> str:
        """Keep everybody from writing to the database."""
        return self._trouble().lock()

    def unlock_database(self) -> None:
        """Undo that."""
        if self.database is not None:
            self.database.unlock()

    def damage_database(self, how: How) -> str:
        """Have the app work on a damaged copy of its database."""
        return self._trouble().damage(how)

    def mend_database(self) -> None:
        """Undo that."""
        if self.database is not None:
            self.database.mend()

    def _trouble(self) -> DatabaseTrouble:
        if self.database is None:
            raise OSError("an instance that relays to a backend has no database")
        return self.database

    def fill_disk(self) -> str:
        """Have the app's files on a disk that is full."""
        return self._storage.fill()

    def empty_disk(self) -> None:
        """Undo that."""
        self._storage.empty()
