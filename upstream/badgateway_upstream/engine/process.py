"""What process faults do to this very process. Nothing here is simulated."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable

from badgateway_upstream.app.storage import Storage
from badgateway_upstream.wire.listener import Listener


class ThisProcess:
    """The `registry.ProcessControls` of a running instance."""

    def __init__(self, listener: Listener, storage: Storage, close_idle: Callable[[], None]) -> None:
        self._listener = listener
        self._storage = storage
        self._close_idle = close_idle

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
        self._close_idle()

    def fill_disk(self) -> str:
        """Have the app's files on a disk that is full."""
        return self._storage.fill()

    def empty_disk(self) -> None:
        """Undo that."""
        self._storage.empty()
