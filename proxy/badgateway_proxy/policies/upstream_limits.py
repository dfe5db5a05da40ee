"""Which requests may go to the upstream now, which wait, which are refused. Pure: it counts, and is told what happens.

Envoy's semantics: beyond ``max_requests`` a request is refused; without a free connection it waits, as long as no
more than ``max_pending_requests`` do. Whoever waited longest goes first: a newcomer never overtakes.
"""

from __future__ import annotations

from enum import Enum

from badgateway_proxy.configuration.upstream_limits import UpstreamLimitSettings


class Verdict(Enum):
    """What an arriving request is to do."""

    GO = "go"
    WAIT = "wait"
    TOO_MANY_REQUESTS = "too many requests to the upstream (max_requests)"
    QUEUE_FULL = "too many wait for a connection (max_pending_requests)"
    NO_CONNECTION = "no connection to the upstream is free (max_connections)"


class UpstreamLimits:
    """The requests of one hop that are under way to its upstream, and those that wait.

    ``active`` are under way, each on a connection of its own; ``pending`` wait for one; ``retries`` are tried again.
    ``retries_refused``: how many were not, as there were too many, since the start or since somebody set it to 0.
    """

    __slots__ = ("active", "pending", "retries", "retries_refused", "settings")

    def __init__(self, settings: UpstreamLimitSettings) -> None:
        self.settings = settings
        self.active = 0
        self.pending = 0
        self.retries = 0
        self.retries_refused = 0

    def arrive(self) -> Verdict:
        """A request arrives. ``GO`` and ``WAIT`` count it; ``leave`` and ``give_up`` undo that."""
        settings = self.settings
        if settings.max_requests is not None and self.active >= settings.max_requests:
            return Verdict.TOO_MANY_REQUESTS
        if not self._full and not self.pending:
            self.active += 1
            return Verdict.GO
        if self.pending >= settings.max_pending_requests:
            return Verdict.QUEUE_FULL if settings.max_pending_requests else Verdict.NO_CONNECTION
        self.pending += 1
        return Verdict.WAIT

    def leave(self) -> None:
        """A request that was under way is over; ``next_may_go`` says whether another takes its place."""
        self.active -= 1

    def next_may_go(self) -> bool:
        """Whether the one that waits longest may go now; if so, it counts as under way from here on."""
        if not self.pending or self._full:
            return False
        self.pending -= 1
        self.active += 1
        return True

    def give_up(self) -> None:
        """A request waits no longer: its time was over, or its client left."""
        self.pending -= 1

    def begin_retry(self) -> bool:
        """Whether one more retry may be under way; if so, it counts until ``end_retry``."""
        most = self.settings.max_retries
        if most is not None and self.retries >= most:
            self.retries_refused += 1
            return False
        self.retries += 1
        return True

    def end_retry(self) -> None:
        """A retry is over."""
        self.retries -= 1

    @property
    def _full(self) -> bool:
        most = self.settings.max_connections
        return most is not None and self.active >= most
