"""The processes of a chain as a test uses them: any can be stopped and restarted, a hop can be configured as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from badgateway.control.client import ControlClient

Settings = Mapping[str, Any]

__tracebackhide__ = True
"""For pytest: what fails is shown where a test called, not in here."""


class Process:
    """A hop or an instance; `app` stands for every instance."""

    def __init__(self, control: ControlClient, name: str) -> None:
        self._control, self.name = control, name

    def restart(self) -> None:
        """Stop what runs and start it again on the same port; returns once it is ready."""
        self._control.restart(self.name)

    def stop(self) -> None:
        """Stop it as a deployment does: it finishes what it is at, for a while."""
        self._control.stop(self.name)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stopped inside the block, and started again behind it."""
        self.stop()
        try:
            yield
        finally:
            self.restart()


class Hop(Process):
    """A gateway of the chain: `cdn` or `lb`."""

    @property
    def config(self) -> dict[str, Any]:
        """Its configuration as it is now."""
        told: dict[str, Any] = self._control.call("GET", self._path())
        return told

    def patch(self, settings: Settings | None = None, /, **sections: Any) -> dict[str, Any]:
        """Change its configuration while it runs, by JSON merge patch (RFC 7396); returns the whole of it.

        `lab.hop("lb").patch(retry={"attempts": 3})` is the same as `patch({"retry": {"attempts": 3}})`. It lasts until
        the end of the test.
        """
        told: dict[str, Any] = self._control.call("PATCH", self._path(), {**(settings or {}), **sections})
        return told

    @contextmanager
    def patched(self, settings: Settings | None = None, /, **sections: Any) -> Iterator[dict[str, Any]]:
        """As `patch`, and the settings as they were behind the block."""
        changes = {**(settings or {}), **sections}
        back = undoing(changes, self.config)
        try:
            yield self.patch(changes)
        finally:
            self.patch(back)

    @property
    def breaker_state(self) -> str:
        """closed, open, half_open, forced_open or disabled."""
        node = next(node for node in self._control.chain()["nodes"] if node["name"] == self.name)
        return str((node["breaker"] or {}).get("state"))

    def breaker(self, action: str) -> dict[str, Any]:
        """`force_open`, `force_closed`, `reset` or `disable` its circuit breaker; returns the state of it."""
        told: dict[str, Any] = self._control.call("POST", f"{self._path()}/breaker", {"action": action})
        return told

    def _path(self) -> str:
        return f"hops/{quote(self.name, safe='')}"


def undoing(patch: Settings, before: Settings) -> dict[str, Any]:
    """The merge patch that takes `patch` back, of what was `before`: null is for what was not there."""
    back: dict[str, Any] = {}
    for key, value in patch.items():
        was = before.get(key)
        back[key] = undoing(value, was) if isinstance(value, Mapping) and isinstance(was, Mapping) else was
    return back
