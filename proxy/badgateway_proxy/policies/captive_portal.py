"""Who has logged in to the network, and where they wanted to go. Pure: time is a parameter."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final
from urllib.parse import parse_qs, quote

from badgateway_proxy.configuration.admission import CaptivePortalSettings

#: A path on this host; what begins with two slashes would lead to another one, as browsers read it.
_LOCAL: Final = re.compile(r"/(?![/\\])[!-~]{0,2000}")


class Sessions:
    """The clients that are logged in, for as long and as many as the settings allow."""

    def __init__(self, settings: CaptivePortalSettings) -> None:
        self._settings = settings
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ends)

    def log_in(self, client: bytes, now: float) -> None:
        """Let a client through from now on."""
        self._forget(now)
        self._ends.pop(client, None)
        if len(self._ends) >= self._settings.clients:
            self._ends.popitem(last=False)
        self._ends[client] = now + self._settings.session

    def is_logged_in(self, client: bytes, now: float) -> bool:
        """Whether a client may pass."""
        return self._ends.get(client, now) > now

    def _forget(self, now: float) -> None:
        """Drop those that are over: all last equally long, so the oldest login ends first."""
        while self._ends and next(iter(self._ends.values())) <= now:
            self._ends.popitem(last=False)


def login_link(path: str, wanted: str) -> str:
    """Where to log in: the portal's ``path``, with the target that was ``wanted``, so as to get there afterwards."""
    return f"{path}?next={quote(wanted, safe='')}"


def wanted_target(query: str) -> str:
    """The target that a login's query names; ``/`` for none, or for one that is not on this host."""
    if len(query) > 8192 or query.count("&") > 8:
        return "/"
    wanted = parse_qs(query).get("next", ["/"])[0]
    return wanted if _LOCAL.fullmatch(wanted) else "/"
