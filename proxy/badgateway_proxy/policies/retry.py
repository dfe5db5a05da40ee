"""Whether a failed attempt is tried again, and after which pause. Pure: randomness is a parameter."""

from __future__ import annotations

from dataclasses import dataclass

from badgateway_proxy.configuration.settings import BackoffSettings, RetrySettings
from badgateway_proxy.errors import ERROR_TABLE, ErrorType, Phase, RetryCondition


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, after ``delay`` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Don't; ``reason`` is for people."""

    reason: str


class RetryPolicy:
    """Decides after each attempt. Conditions have Envoy's names (``x-envoy-retry-on``).

    Differences from Envoy: ``reset`` does not include timeouts, which are ``timeout``; refused-stream is
    HTTP/2's and not here; only idempotent methods are tried again unless ``methods`` says otherwise (RFC 9110
    section 9.2.2), even if nothing was sent yet.
    """

    def __init__(self, settings: RetrySettings) -> None:
        self._attempts = settings.attempts
        self._methods = None if settings.methods == "any" else frozenset(settings.methods)
        self._on: frozenset[RetryCondition] = frozenset(settings.on)
        self._statuses = frozenset(settings.statuses if "retriable-status-codes" in self._on else ())
        self._backoff = settings.backoff
        self.enabled = settings.attempts > 1
        """Whether there is ever a second attempt."""
        self.least_status = min((500, *self._statuses))
        """No received status below this one is tried again."""

    def decide(
        self,
        *,
        attempt: int,
        method: str,
        error: ErrorType | None,
        status: int | None,
        phase: Phase,
        request_replayable: bool,
        head_sent: bool,
        retry_after: float | None,
        rand: float,
    ) -> Retry | Stop:
        """What to do after attempt number ``attempt`` (the first is 1) ended in ``error`` or with ``status``.

        ``status`` is the one received from the upstream. ``request_replayable``: its body can be sent again,
        or was not touched. ``head_sent``: the client already has the head of a response. ``retry_after``:
        seconds, as the upstream asks. ``rand``: uniform in [0, 1).
        """
        reason = self._obstacle(attempt, method, request_replayable, head_sent)
        if reason is None and not self._matches(error, status, phase):
            reason = f"{error.value if error else status} is not retried (retry.on)"
        if reason is not None:
            return Stop(reason)
        delay = _pause(self._backoff, attempt, rand)
        if retry_after is not None and retry_after > delay:
            if retry_after > self._backoff.max:
                return Stop("Retry-After asks for more patience than retry.backoff.max")
            delay = retry_after
        return Retry(delay)

    def wants_again(self, status: int) -> bool:
        """Whether a received status is one of those that are tried again, whatever else stands in the way."""
        return self._matches(None, status, Phase.RECEIVE)

    def _obstacle(self, attempt: int, method: str, request_replayable: bool, head_sent: bool) -> str | None:
        if attempt >= self._attempts:
            return "attempts used up" if self._attempts > 1 else "retries are off"
        if head_sent:
            return "the head of the response was already sent"
        if self._methods is not None and method not in self._methods:
            return f"{method} is not retried (retry.methods)"
        if not request_replayable:
            return "the request's body cannot be sent again"
        return None

    def _matches(self, error: ErrorType | None, status: int | None, phase: Phase) -> bool:
        on = self._on
        if error is None:
            if status is None or status < self.least_status:
                return False
            if status in self._statuses:
                return True
            return ("5xx" in on and status >= 500) or (status in (502, 503, 504) and "gateway-error" in on)
        condition = ERROR_TABLE[error].retry_condition
        if condition is None:
            return False
        # What breaks while the connection is made is a failed connect, whatever it looks like.
        if phase is Phase.CONNECT:
            condition = "connect-failure"
        elif condition == "connect-failure":
            condition = "reset"  # TLS that breaks later: the connection had come about, and the request was sent
        if error is ErrorType.CONNECTION_REFUSED and "refused" in on:
            return True
        # An upstream's error becomes a 502 or 504, so both status conditions include it, as with Envoy.
        return condition in on or "gateway-error" in on or "5xx" in on


def _pause(backoff: BackoffSettings, attempt: int, rand: float) -> float:
    """Exponential backoff with jitter: the share ``jitter`` of the pause is random."""
    # Capping the exponent keeps 2**attempt a small number however many attempts are allowed.
    full = min(backoff.max, backoff.base * 2.0 ** min(attempt - 1, 60))
    return full * (1 - backoff.jitter * rand)
