"""What came back for one request: everything the wire showed, also when that was not a whole response."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Literal

from badgateway.running.observations import Failure, Observation
from badgateway_proxy import ProxyStatusMember, parse_proxy_status
from badgateway_proxy import decided_by as first_with_error

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Interim:
    """One 1xx response that came before the final one."""

    status: int
    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one request. Nothing on the network is an exception here: it is what one wants to see."""

    status: int | None = None
    reason: str = ""
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    """The first bytes of the body, up to the cap; chunked coding removed, content coding not."""
    body_bytes: int = 0
    """All that was received of the body."""
    elapsed: float = 0.0
    """Seconds from before the connect to the last byte."""
    head_after: float | None = None
    """Seconds from before the connect to the end of the head."""
    body_after: float | None = None
    """Seconds from before the connect to the first byte of the body."""
    failure: Failure | None = None
    """Why there is no response."""
    truncated: str | None = None
    """Why the body is not whole: `received 100 of 4096 bytes`."""
    end: Literal["FIN", "RST"] | None = None
    """How the server closed the connection, if it did before the exchange was over."""
    interim: tuple[Interim, ...] = ()
    first_bytes: bytes = b""
    """What came, where it was no HTTP."""
    details: str = ""
    """Words to a failure: `Expected HTTP/, RTSP/ or ICE/`."""
    request_id: str = ""
    surplus: bool = False
    """Bytes came after the end of the response."""
    proxy_status: tuple[ProxyStatusMember, ...] = field(default=())

    @property
    def decided_by(self) -> str | None:
        """The outermost hop that answered from its cache; else the one whose Proxy-Status member is the first with
        an error; else `app`. None without a response.
        """
        if self.status is None:
            return None
        if (cache := self._from_store()) is not None:
            return cache
        member = first_with_error(self.proxy_status)
        return member.name if member else "app"

    @property
    def error(self) -> str | None:
        """The RFC 9209 error type that the deciding hop gave in Proxy-Status."""
        member = first_with_error(self.proxy_status)
        return member.error if member else None

    @property
    def instance(self) -> str | None:
        """The instance whose answer it is, as the shop says in X-Instance; None where a hop made it."""
        return self.header("x-instance")

    def observed(self, method: str, path: str, *, intended: float, started: float, ended: float) -> Observation:
        """This answer as an expression measures it; times as `Observation` has them."""
        return Observation(
            intended=intended,
            started=started,
            ended=ended,
            method=method,
            path=path,
            status=self.status,
            decided_by=self.decided_by,
            error=self.error,
            failure=self.failure,
            instance=self.instance,
            truncated=self.truncated is not None,
            request_id=self.request_id,
        )

    def _from_store(self) -> str | None:
        """The outermost cache that answered with what it had stored, as Cache-Status says (RFC 9211)."""
        members = parse_proxy_status(self.header("cache-status") or "")
        served = [each.name for each in members if _is_from_store(each)]
        return served[-1] if served else None

    def header(self, name: str) -> str | None:
        """All values of a field, joined as RFC 9110 section 5.3 does; None if it is not there."""
        values = self.header_values(name)
        return ", ".join(values) if values else None

    def header_values(self, name: str) -> list[str]:
        """Each value of a field, line by line."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def retry_after(self) -> float | None:
        """Seconds that Retry-After asks for (RFC 9110 section 10.2.3: seconds or a date); None if unreadable."""
        text = (self.header("retry-after") or "").strip()
        if text.isascii() and text.isdigit() and len(text) < 12:
            return float(text)
        try:
            return max(
                0.0,
                (parsedate_to_datetime(text) - parsedate_to_datetime(self.header("date") or "")).total_seconds(),
            )
        except (ValueError, TypeError):
            return None


def _is_from_store(member: ProxyStatusMember) -> bool:
    return member.params.get("hit") is True or member.params.get("detail") == "stale-if-error"


def members_of(headers: tuple[Header, ...]) -> tuple[ProxyStatusMember, ...]:
    """The Proxy-Status members of a response, nearest the origin first."""
    return tuple(parse_proxy_status(", ".join(v for k, v in headers if k.lower() == "proxy-status")))
