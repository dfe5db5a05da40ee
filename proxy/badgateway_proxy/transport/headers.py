"""The heads that a hop writes: what it forwards, drops and adds, as bytes.

Pure. Rules: RFC 9110 section 7.6.1 (hop-by-hop fields), 7.6.3 (Via); RFC 7239 (Forwarded); RFC 9209 (Proxy-Status);
X-Forwarded-* as HAProxy, nginx and Envoy write them; traceparent passes through untouched (W3C Trace Context),
unless the hop is part of the trace itself.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus

from badgateway_proxy.transport import sessions

RawHeaders = Iterable[tuple[bytes, bytes]]

#: A head without the value of its X-Request-ID, which alone is the exchange's: what stands before and behind it.
Around = tuple[bytes, bytes]

#: Fields that end at this hop (RFC 9110 section 7.6.1 and the older Keep-Alive and Proxy-Connection).
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

#: Request fields that the hop reads and writes anew.
_REWRITTEN = frozenset(
    (
        b"via",
        b"x-request-id",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"forwarded",
        b"expect",
        b"cdn-loop",
        b"max-forwards",
    )
)
#: Fields that go on as they are, by whether CDN-Loop and Max-Forwards are written anew.
_KEPT: Mapping[tuple[bool, bool], Set[bytes]] = {
    (False, False): frozenset((b"cdn-loop", b"max-forwards")),
    (True, False): frozenset((b"max-forwards",)),
    (False, True): frozenset((b"cdn-loop",)),
    (True, True): frozenset(),
}
#: Fields of a response that it writes anew.
_APPENDED = frozenset((b"via", b"proxy-status", b"x-request-id"))


class FieldNames(dict[bytes, bytes]):
    """What becomes of a field, by its name as spelt: `b""` goes on as it is, otherwise the name in lower case.

    Spellings are few, so each is looked at once; a client that makes them up only empties the memory.
    """

    def __init__(self, special: Set[bytes]) -> None:
        super().__init__()
        self._special = special

    def __missing__(self, name: bytes) -> bytes:
        if len(self) >= 1024:
            self.clear()
        lower = name.lower()
        found = self[name] = lower if lower in self._special else b""
        return found


#: Says how often the hop before has tried: nothing that concerns the next one.
_ATTEMPT_COUNT = b"x-attempt-count"

_REQUEST_NAMES = FieldNames(HOP_BY_HOP | _REWRITTEN | {b"host", _ATTEMPT_COUNT})
_RESPONSE_NAMES = FieldNames(HOP_BY_HOP | _APPENDED)

#: Request fields that say what to do with the request.
_TELLING = FieldNames(
    {b"connection", b"transfer-encoding", b"via", b"x-request-id", b"cdn-loop", b"max-forwards", b"traceparent"}
    | sessions.FIELDS
)

#: Connection lists nothing.
NO_NAMES: Set[bytes] = frozenset()

#: RFC 9110's phrases: before Python 3.13 the standard library has older ones for these.
_RENAMED = {
    413: b"Content Too Large",
    414: b"URI Too Long",
    416: b"Range Not Satisfiable",
    422: b"Unprocessable Content",
    509: b"Bandwidth Limit Exceeded",  # which no RFC has, and IANA has not registered
}
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus} | _RENAMED
_STATUS_LINES = {code: b"HTTP/1.1 %d %s" % (code, phrase) for code, phrase in _REASONS.items()}


def telling_fields(raw_headers: RawHeaders) -> Mapping[bytes, Sequence[bytes]]:
    """The values of those request fields that an exchange must look at, by their names in lower case."""
    found = _NONE
    for name, value in raw_headers:
        telling = _TELLING[name]
        if telling:
            if found is _NONE:
                found = {}
            found.setdefault(telling, []).append(value)
    return found


_NONE: dict[bytes, list[bytes]] = {}


def request_head(
    method: str,
    target: str,
    raw_headers: Sequence[tuple[bytes, bytes]],
    *,
    also_dropped: Set[bytes] = NO_NAMES,
    via: bytes,
    client: bytes,
    next_hop: str,
    scheme: bytes = b"http",
    host: str | None = None,
    chunked: bool = False,
    add_length: int | None = None,
    upgrade: bytes | None = None,
    cdn_loop: bytes | None = None,
    max_forwards: int | None = None,
) -> Around:
    """Build the head of the request that goes to the endpoint, around the value of X-Request-ID.

    Args:
        method: as received.
        target: in origin form (RFC 9112 section 3.2.1).
        raw_headers: the client's header section as received.
        also_dropped: names that its Connection fields list (see `named_by_connection`).
        via: this hop's Via member, such as `1.1 lb`.
        client: the client's IP address.
        next_hop: the endpoint's address: Host where the client, of HTTP/1.0, sent none (RFC 9112 section 3.2).
        scheme: what the client spoke to this hop.
        host: replaces Host where the request came in absolute form.
        chunked: frame the body as chunked (there is no Content-Length).
        add_length: the body's length in bytes where the client sent it chunked and it is known by now.
        upgrade: the protocol to ask for (RFC 9110 section 7.8), None for none.
        cdn_loop: this hop's CDN-Loop member (RFC 8586); None leaves the field as it is.
        max_forwards: replaces Max-Forwards; None leaves it as it is.
    """
    lines: list[bytes] = []
    seen: dict[bytes, list[bytes]] = {}
    original_host = b"" if host is None else host.encode()
    sent_host = original_host or next_hop.encode()
    kept = _KEPT[cdn_loop is not None, max_forwards is not None]
    for field in raw_headers:
        special = _REQUEST_NAMES[field[0]]
        if not special:
            if not also_dropped or field[0].lower() not in also_dropped:
                lines.append(b": ".join(field))
        elif special == b"host":
            sent_host = original_host = field[1] if host is None else host.encode()
        elif special in kept:
            lines.append(b": ".join(field))
        elif special in _REWRITTEN:
            seen.setdefault(special, []).append(field[1])
    lines += _trail(seen, via, cdn_loop, max_forwards)
    lines.append(_sent_by(seen, client, scheme, original_host) if seen else _sender(client, scheme, original_host))
    # The id comes early, so that a next hop that gives up reading the head knows it.
    start = f"{method} {target} HTTP/1.1\r\nHost: ".encode("utf-8", "surrogateescape")
    before = b"%b%b\r\n%b" % (start, sent_host, _ID)
    return before, b"\r\n".join((b"", *lines, *_framing(chunked, add_length, upgrade)))


def _framing(chunked: bool, length: int | None, upgrade: bytes | None) -> Iterable[bytes]:
    if chunked:
        yield b"Transfer-Encoding: chunked"
    if length is not None:
        yield b"Content-Length: %d" % length
    if upgrade is not None:
        yield b"Connection: upgrade\r\nUpgrade: " + upgrade
    yield b"\r\n"


_ID = b"X-Request-ID: "


def _trail(
    seen: dict[bytes, list[bytes]], via: bytes, cdn_loop: bytes | None, max_forwards: int | None
) -> Iterable[bytes]:
    """Where the request has been, this hop included, and how far it may still go."""
    if cdn_loop is not None:
        yield b"CDN-Loop: " + b", ".join((*seen.get(b"cdn-loop", ()), cdn_loop))
    if max_forwards is not None:
        yield b"Max-Forwards: %d" % max_forwards
    yield b"Via: " + b", ".join((*seen.get(b"via", ()), via))


def _sent_by(seen: dict[bytes, list[bytes]], client: bytes, scheme: bytes, host: bytes) -> bytes:
    element = _element(client, scheme, host)
    client = b", ".join([*seen.get(b"x-forwarded-for", ()), client])
    element = b", ".join([*seen.get(b"forwarded", ()), element])
    scheme = seen.get(b"x-forwarded-proto", [scheme])[0]
    host = seen.get(b"x-forwarded-host", [host])[0]
    return _SENDER % (client, scheme, _forwarded_host(host), element)


_SENDER = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b%b\r\nForwarded: %b"


@lru_cache(maxsize=256)
def _sender(client: bytes, scheme: bytes, host: bytes) -> bytes:
    return _SENDER % (client, scheme, _forwarded_host(host), _element(client, scheme, host))


def _forwarded_host(host: bytes) -> bytes:
    return b"\r\nX-Forwarded-Host: " + host if host else b""


def _element(client: bytes, scheme: bytes, host: bytes) -> bytes:
    """This hop's element of Forwarded (RFC 7239 section 4)."""
    element = (b'for="[%b]";proto=%b' if b":" in client else b"for=%b;proto=%b") % (client, scheme)
    if host:
        element += b';host="%b"' % host.replace(b"\\", b"").replace(b'"', b"")
    return element


def response_head(
    status: int,
    reason: bytes,
    headers: RawHeaders,
    *,
    via: bytes,
    proxy_status: bytes,
    also_dropped: Set[bytes] = NO_NAMES,
    chunked: bool = False,
    connection: bytes | None = None,
    upgrade: bytes | None = None,
) -> Around:
    """Build the head of a relayed response, around the value of X-Request-ID.

    Args:
        status: the status code, as received.
        reason: the reason phrase, as received.
        headers: the header section as received from the endpoint.
        via: this hop's Via member.
        proxy_status: this hop's member; those before it stay before it (RFC 9209 section 2).
        also_dropped: names that its Connection fields list (see `named_by_connection`).
        chunked: the body follows as chunked.
        connection: `close` or `keep-alive`, None to say nothing.
        upgrade: for a 101: the protocol switched to.
    """
    lines = [_STATUS_LINES[status] if _REASONS.get(status) == reason else status_line(status, reason)]
    earlier_via, earlier_status = b"", b""
    if status in _BODILESS:
        also_dropped = also_dropped | _NO_BODY
    for field in headers:
        special = _RESPONSE_NAMES[field[0]]
        if not special:
            if not also_dropped or field[0].lower() not in also_dropped:
                lines.append(b": ".join(field))
        elif special == b"via":
            earlier_via += field[1] + b", "
        elif special == b"proxy-status":
            earlier_status += field[1] + b", "
    lines.append(b"Via: " + earlier_via + via)
    lines.append(_ID)
    behind = [b"\r\nProxy-Status: " + earlier_status + proxy_status]
    if chunked:
        behind.append(b"Transfer-Encoding: chunked")
    if upgrade is not None:
        behind.append(b"Connection: upgrade\r\nUpgrade: " + upgrade)
    elif connection is not None:
        behind.append(b"Connection: " + connection)
    behind.append(b"\r\n")
    return b"\r\n".join(lines), b"\r\n".join(behind)


def interim_head(status: int, reason: bytes, headers: RawHeaders, *, also_dropped: Set[bytes] = NO_NAMES) -> bytes:
    """Build a 1xx response's head for the client (RFC 9110 section 15.2)."""
    dropped = HOP_BY_HOP | _NO_BODY | also_dropped
    kept = [name + b": " + value for name, value in headers if name.lower() not in dropped]
    return b"\r\n".join([status_line(status, reason), *kept, b"\r\n"])


def own_head(
    status: int,
    headers: RawHeaders,
    *,
    via: bytes,
    proxy_status: bytes,
    connection: bytes | None,
) -> Around:
    """Build the head of a response that this hop generated itself (RFC 9209 section 2), as `response_head` does."""
    return response_head(
        status,
        _REASONS.get(status, b""),
        headers,
        via=via,
        proxy_status=proxy_status,
        connection=connection,
    )


#: Responses that never have a body, and so no length (RFC 9110 section 8.6); a 304 has that of what it stands for.
_BODILESS = frozenset((101, 204))
_NO_BODY = frozenset((b"content-length",))


def status_line(status: int, reason: bytes) -> bytes:
    """The first line of a response, without its end."""
    if _REASONS.get(status) == reason:
        return _STATUS_LINES[status]
    return b"HTTP/1.1 %d %b" % (status, reason)


def upgrade_of(headers: RawHeaders) -> bytes | None:
    """The protocols that Upgrade names (RFC 9110 section 7.8), None where it is not there."""
    values = [value for name, value in headers if name.lower() == b"upgrade"]
    return b", ".join(values) if values else None


def is_dated(headers: RawHeaders) -> bool:
    """Whether there is a Date; whoever forwards a response without one adds it (RFC 9110 section 6.6.1)."""
    return any(len(name) == 4 and name.lower() == b"date" for name, _ in headers)


def retry_after_of(headers: RawHeaders) -> float | None:
    """Retry-After in seconds (RFC 9110 section 10.2.3); a date counts from that in Date. None where it says nothing."""
    asked = date = None
    for name, value in headers:
        lower = name.lower()
        if lower == b"retry-after":
            asked = value.strip()
        elif lower == b"date":
            date = value
    if asked is None or asked.isdigit():
        return None if asked is None else float(asked[:9])
    if date is None:
        return None
    try:
        until, sent = (parsedate_to_datetime(text.decode("latin-1")) for text in (asked, date))
        return max(0.0, (until - sent).total_seconds())
    except (ValueError, TypeError):  # no date; or only one of them knows its time zone
        return None


def named_by_connection(values: Sequence[bytes]) -> Set[bytes]:
    """The field names that Connection lists, in lower case: they too end at this hop (RFC 9110 section 7.6.1).

    Args:
        values: the value of each Connection field of the message.
    """
    if not values:
        return NO_NAMES
    named = _options(values[0])
    return named if len(values) == 1 else named.union(*map(_options, values[1:]))


@lru_cache(maxsize=256)
def _options(value: bytes) -> frozenset[bytes]:
    return frozenset(option.strip().lower() for option in value.split(b",")) - _NEVER_DROPPED


#: Options that name no field, and fields that Connection must not take away: that would change the message's
#: framing, its target, or the trail of who sent it on.
_NEVER_DROPPED = frozenset(
    (b"", b"close", b"keep-alive", b"content-length", b"host", b"via", b"cdn-loop", b"forwarded", b"x-forwarded-for")
)
