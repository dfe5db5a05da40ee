"""What a hop asks before it does anything for a request: who is it, is there maintenance, did too many come?

The policies decide; the checks here put to each what it needs to know, and its refusal into words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from badgateway_proxy.errors import ErrorType, HopError, Page, Phase
from badgateway_proxy.pages import notices
from badgateway_proxy.policies.bandwidth_cap import BandwidthCap
from badgateway_proxy.policies.captive_portal import Sessions, login_link, wanted_target
from badgateway_proxy.policies.maintenance import Maintenance
from badgateway_proxy.policies.token_bucket import ClientBuckets, TokenBucket, rate_limit_fields

if TYPE_CHECKING:
    from badgateway_proxy.clock import Clock
    from badgateway_proxy.configuration.admission import (
        BandwidthCapSettings,
        CaptivePortalSettings,
        ClientRateLimitSettings,
        MaintenanceSettings,
        TokenBucketSettings,
    )
    from badgateway_proxy.configuration.config import HopConfig
    from badgateway_proxy.reply import Reply
    from badgateway_proxy.transport.client_connection import ClientConnection
    from badgateway_proxy.transport.request import Request


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that asks to be admitted, and whose it is.

    ``now``: seconds of the policies' clock. ``hop``: the name of the hop that is asked.
    """

    request: Request
    client: ClientConnection
    clock: Clock
    now: float
    reply: Reply
    hop: str


class Check:
    """One thing to ask, under the ``name`` of its section.

    Args:
        settings: the section of the configuration that it goes by.
        now: seconds of the policies' clock.
    """

    name = ""

    def __init__(self, settings: Any, now: float) -> None:
        self.settings = settings

    def state(self, now: float) -> dict[str, Any]:
        """What it has counted, as JSON."""
        return {}

    def succeed(self, before: Check) -> None:
        """Take over what another check of its kind has counted by other settings, as far as it still counts."""

    def ask(self, arrival: Arrival) -> None:
        """Let the request pass.

        Raises:
            HopError: what to answer instead.
        """
        raise NotImplementedError


class MaintenanceCheck(Check):
    """503 for everybody while maintenance is on."""

    def __init__(self, settings: MaintenanceSettings, now: float) -> None:
        super().__init__(settings, now)
        self._maintenance = Maintenance(settings, now)

    def ask(self, arrival: Arrival) -> None:
        settings: MaintenanceSettings = self.settings
        retry_after = self._maintenance.retry_after(arrival.now)
        raise HopError(
            ErrorType.PROXY_INTERNAL_RESPONSE,
            "maintenance",
            phase=Phase.ADMISSION,
            status=503,
            retry_after=retry_after,
            dated=settings.retry_after == "date",
            page=notices.maintenance(settings.message, retry_after),
        )


class PortalCheck(Check):
    """511 for who has not logged in to the network (RFC 6585 section 6), and the page on which one does."""

    name = "captive_portal"

    def __init__(self, settings: CaptivePortalSettings, now: float) -> None:
        super().__init__(settings, now)
        self._sessions = Sessions(settings)

    def state(self, now: float) -> dict[str, Any]:
        return {"logged_in": len(self._sessions)}

    def ask(self, arrival: Arrival) -> None:
        settings: CaptivePortalSettings = self.settings
        client = _client_key(arrival, settings.key_header)
        path, _, query = arrival.request.target.partition("?")
        if path == settings.path:
            raise self._login(arrival, client, wanted_target(query))
        if not self._sessions.is_logged_in(client, arrival.now):
            wanted = arrival.request.target if arrival.request.method in _SAFE else "/"
            page = notices.login_required(login_link(settings.path, wanted))
            raise _own_answer(511, "not logged in to this network", page)

    def _login(self, arrival: Arrival, client: bytes, wanted: str) -> HopError:
        settings: CaptivePortalSettings = self.settings
        match arrival.request.method:
            case "POST":
                self._sessions.log_in(client, arrival.now)
                return _own_answer(303, "logged in", notices.nothing, (b"Location", wanted.encode()))
            case "GET" | "HEAD":
                return _own_answer(200, "the login page", notices.login_form(login_link(settings.path, wanted)))
            case _:
                return _own_answer(405, "the login page knows GET and POST", None, (b"Allow", b"GET, HEAD, POST"))


class BandwidthCheck(Check):
    """509 once all the bytes of a period were sent."""

    name = "bandwidth_cap"

    def __init__(self, settings: BandwidthCapSettings, now: float) -> None:
        super().__init__(settings, now)
        self._cap = BandwidthCap(settings, now)

    def state(self, now: float) -> dict[str, Any]:
        return {"used": self._cap.used(now), "ends_in": round(self._cap.ends_in(now), 3)}

    def succeed(self, before: Check) -> None:
        if isinstance(before, BandwidthCheck) and before.settings.period == self.settings.period:
            self._cap.go_on_from(before._cap)

    def ask(self, arrival: Arrival) -> None:
        cap = self._cap
        arrival.client.meter = None  # a refusal is not the site's traffic
        if cap.is_used_up(arrival.now):
            raise _refusal(509, "the bandwidth of this period is used up", cap.ends_in(arrival.now))
        clock = arrival.clock
        arrival.client.meter = lambda size: cap.count(size, clock.now())


class ServerRateCheck(Check):
    """503 when all clients together send more than the server takes: it is nobody's fault in particular."""

    def __init__(self, settings: TokenBucketSettings, now: float) -> None:
        super().__init__(settings, now)
        self._bucket = TokenBucket(settings, now)

    def ask(self, arrival: Arrival) -> None:
        taken = self._bucket.take(arrival.now)
        if not taken.allowed:
            details = "the rate limit of the whole server is reached"
            raise _refusal(503, details, taken.wait)


class ClientRateCheck(Check):
    """429 for a client that sends more than it may (RFC 6585 section 4); and it is told how much it has left."""

    def __init__(self, settings: ClientRateLimitSettings, now: float) -> None:
        super().__init__(settings, now)
        self._buckets = ClientBuckets(settings)

    def ask(self, arrival: Arrival) -> None:
        settings: ClientRateLimitSettings = self.settings
        client = _client_key(arrival, settings.key_header)
        taken = self._buckets.take(client, arrival.now)
        for name, value in rate_limit_fields(f"{arrival.hop}-client", settings, taken):
            arrival.reply.added += b"\r\n%b: %b" % (name, value)
        if not taken.allowed:
            raise _refusal(429, "the rate limit of this client is reached", taken.wait)


class Admission:
    """All that one configuration asks of a request, in order.

    Args:
        config: the hop's configuration.
        now: seconds of the policies' clock.
        before: what asked until now. A check whose settings did not change goes on with what it has counted.
    """

    def __init__(self, config: HopConfig, now: float, before: Admission | None = None) -> None:
        old = {type(check): check for check in before.checks} if before is not None else {}
        self.checks: list[Check] = []
        for kind, settings in _wanted(config):
            check = old.get(kind)
            if check is None or check.settings != settings:
                check = kind(settings, now)
                if kind in old:
                    check.succeed(old[kind])
            self.checks.append(check)

    def state(self, now: float) -> dict[str, Any]:
        """What its checks have counted, as JSON, by their names."""
        return {check.name: counted for check in self.checks if (counted := check.state(now))}

    def ask(self, arrival: Arrival) -> None:
        """Let a request pass every check.

        Raises:
            HopError: what to answer instead.
        """
        for check in self.checks:
            check.ask(arrival)


def admission_for(config: HopConfig, now: float, before: Admission | None) -> Admission | None:
    """What a configuration asks of requests; None if nothing. Arguments as for `Admission`."""
    admission = Admission(config, now, before)
    return admission if admission.checks else None


def _wanted(config: HopConfig) -> Iterator[tuple[type[Check], Any]]:
    if config.captive_portal.enabled:
        yield PortalCheck, config.captive_portal
    if config.maintenance.enabled:
        yield MaintenanceCheck, config.maintenance
    if config.bandwidth_cap.bytes is not None:
        yield BandwidthCheck, config.bandwidth_cap
    if config.rate_limit.client is not None:  # first, so that what one client may not send costs the others nothing
        yield ClientRateCheck, config.rate_limit.client
    if config.rate_limit.server is not None:
        yield ServerRateCheck, config.rate_limit.server


def _refusal(status: int, details: str, retry_after: float) -> HopError:
    # RFC 9209 section 2.3.16 has http_request_error for a 4xx, among them 429
    kind = ErrorType.HTTP_REQUEST_ERROR if status < 500 else ErrorType.PROXY_INTERNAL_RESPONSE
    return HopError(kind, details, phase=Phase.ADMISSION, status=status, retry_after=retry_after)


def _own_answer(status: int, details: str, page: Page | None, *fields: tuple[bytes, bytes]) -> HopError:
    kind = ErrorType.HTTP_REQUEST_ERROR if 400 <= status < 500 else ErrorType.PROXY_INTERNAL_RESPONSE
    return HopError(kind, details, phase=Phase.ADMISSION, status=status, page=page, fields=fields)


_KEY_BYTES: Final = 16
_SAFE: Final = frozenset(("GET", "HEAD"))


def _client_key(arrival: Arrival, header: str | None) -> bytes:
    """Who asks, in a few bytes whatever the client sends: the value of that header, or else the address."""
    given = arrival.request.message.headers.get(header) if header is not None else None
    if given is None:
        return b"address " + arrival.client.host
    return hashlib.blake2b(given.encode("utf-8", "surrogateescape"), digest_size=_KEY_BYTES).digest()
