"""Reads one response after the other out of bytes: what it says, how its body is framed, and what is wrong with it.

Parsing is llhttp's, through httptools; the limits that it lacks, the verdicts and the words are kept here. No I/O.
"""

import re
from copy import copy
from dataclasses import dataclass
from http import HTTPStatus

import httptools

from badgateway_proxy.errors import ErrorType, HopError, Phase
from badgateway_proxy.transport.diagnosis import diagnose
from badgateway_proxy.transport.headers import FieldNames
from badgateway_proxy.transport.repeated import LONGEST, Repeated

_SWITCHING_PROTOCOLS = 101
_SEND = Phase.SEND

#: At least so many of a response's first bytes are looked at, however few of them are to be shown.
_TELLING = 32

#: RFC 9112 section 2.3: what a peer says in a later minor version of HTTP/1 can be read as HTTP/1.1.
_HTTP_1 = re.compile(r"1\.[0-9]")

#: What may not stand in a reason phrase (RFC 9112 section 4).
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

#: Reason phrases that need no look at their bytes.
_PHRASES = frozenset(status.phrase.encode() for status in HTTPStatus)

#: Fields whose value is another in each response.
_PASSING = FieldNames({b"x-request-id"})

_HEAD_END = b"\r\n\r\n"

_FRAMING_NAMES = FieldNames({b"content-length", b"transfer-encoding", b"connection"})

#: The least that a head has besides its fields: `HTTP/1.1 200`, and the ends of two lines.
_BARE_HEAD = 16


@dataclass(frozen=True, slots=True)
class ResponseLimits:
    """Caps on what one response may make the hop hold. Sizes in bytes."""

    head: int
    header: int
    headers: int
    interim: int
    first_bytes: int


class ResponseHead:
    """A response's status line and header section as received (names keep their case).

    `length` is the Content-Length in bytes or None; `chunked` is true under Transfer-Encoding: chunked;
    `connection` holds the values of its Connection fields; `version` is HTTP's, such as `1.1`.
    """

    __slots__ = ("chunked", "connection", "headers", "keep_alive", "length", "reason", "relayed", "status", "version")

    def __init__(self) -> None:
        self.version = b"1.1"
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.chunked = False
        self.connection: tuple[bytes, ...] = ()
        #: Whether the connection may carry another response behind this one's end.
        self.keep_alive = True
        #: How a hop relays it to a client whose connection stays open, once it has done so (see `Reply.relay`).
        self.relayed: tuple[str, str, bytes, bytes] | None = None

    def via(self, received_by: bytes) -> bytes:
        """The Via member of a hop that is called ``received_by`` (RFC 9110 section 7.6.3)."""
        return b"%b %b" % (self.version, received_by)

    def with_field(self, name: bytes, value: bytes) -> "ResponseHead":
        """The same head with one field more at its end."""
        other = copy(self)
        other.headers, other.relayed = [*self.headers, (name, value)], None
        return other


class ResponseReader:
    """What has come of the response to the request in hand. Base of `UpstreamConnection`, which feeds it.

    Args:
        limits: what the peer is held to.
        repeated: heads that came before under the same limits, shared with other connections.
    """

    __slots__ = (
        "_body_at_last_look", "_buffered", "_bytes_without_body", "_chunks", "_error", "_harmless", "_head",
        "_head_done", "_head_only", "_heads", "_heads_size", "_interim_seen", "_keep_alive", "_kept", "_parser",
        "_repeated", "_start", "_surplus", "_until_close", "_unusable", "body_received", "complete", "limits",
        "phase", "received",
    )  # fmt: skip

    def __init__(self, limits: ResponseLimits, repeated: Repeated[ResponseHead]) -> None:
        self.limits = limits
        self._repeated = repeated
        self._kept = max(limits.first_bytes, _TELLING)
        self._harmless = min(limits.header, limits.head)  # so many bytes cannot hold anything that is too large
        self._parser = self._new_parser()
        self._begin("GET")

    def _new_parser(self) -> httptools.HttpResponseParser:
        parser = httptools.HttpResponseParser(self)
        parser.set_dangerous_leniencies(lenient_version=True)  # versions are ours to judge
        return parser

    def _begin(self, method: str) -> None:
        """Be ready for the response to another request."""
        self._head_only = method == "HEAD"
        self._head = ResponseHead()
        self._heads: list[ResponseHead] = []
        self._interim_seen = 0
        self._heads_size = 0
        self._head_done = False
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._error: HopError | None = None
        self._unusable = False
        self._surplus = False
        self._keep_alive = True
        self._until_close = False
        self._body_at_last_look = 0
        self._bytes_without_body = 0
        self.phase = _SEND
        self.complete = False
        self.received = 0
        self.body_received = 0
        self._start = b""

    @property
    def first_bytes(self) -> bytes:
        """What the peer sent first in answer to this request, as far as it is kept."""
        return self._start[: self.limits.first_bytes]

    @property
    def error(self) -> HopError | None:
        """What ended the exchange early, None while nothing has."""
        return self._error

    @property
    def head_done(self) -> bool:
        """Whether the final response head has come, even if nobody has taken it yet."""
        return self._head_done

    def _feed(self, data: bytes) -> None:
        """Take in what the peer sent."""
        if not self.received:
            end = data.find(_HEAD_END, 0, LONGEST) + len(_HEAD_END)
            head = self._repeated.get(data[:end])
            if head is not None and head.length == len(data) - end and not self._head_only:
                self._came_again(head, data, end)
                return
            self._parse(data)
            if self.complete and end > len(_HEAD_END):
                self._remember(data, end)
        else:
            self._parse(data)

    def _came_again(self, head: ResponseHead, data: bytes, end: int) -> None:
        """Take in a whole response whose head was understood before; llhttp need not see it."""
        self._head = head
        self._heads.append(head)
        if head.length:
            self._chunks.append(data[end:])
        self._buffered = self.body_received = len(data) - end
        self._keep_alive = head.keep_alive
        self._head_done = self.complete = True
        self._start = data[: self._kept]
        self.received = len(data)

    def _remember(self, data: bytes, end: int) -> None:
        """Remember the head of a response that came whole and alone, unless the next one's will differ."""
        head = self._head
        if head.length is None or not end + head.length == len(data) == end + self.body_received:
            return
        odd = self._surplus or self._unusable or self._head_only or self._interim_seen
        if not (odd or any(_PASSING[name] for name, _ in head.headers)):
            head.keep_alive = self._keep_alive
            self._repeated.keep(data[:end], head)

    def _parse(self, data: bytes) -> None:
        if self.received < self._kept:
            self._start += data[: self._kept - self.received]
        self.received += len(data)
        if self._head_done and self._head.status == _SWITCHING_PROTOCOLS:
            self._chunks.append(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switched(data[upgrade.args[0] :])
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            self._parser_stopped(error)
        if self._error is None and not self.complete:
            self._cap_what_the_parser_holds(len(data))

    def _cap_what_the_parser_holds(self, size: int) -> None:
        # llhttp has no limits: a head or trailer line without an end would grow in memory for as long as it comes.
        if not self._head_done:
            if self.received > self.limits.header:
                self._cap_head()
        elif self.body_received != self._body_at_last_look:
            self._body_at_last_look = self.body_received
            self._bytes_without_body = 0
        else:
            self._bytes_without_body += size
            if self._bytes_without_body > self.limits.head:
                details = f"chunk extensions or trailers exceed {self.limits.head} bytes"
                self._unusable_because(ErrorType.HTTP_RESPONSE_TRAILER_SECTION_SIZE, details)

    def _cap_head(self) -> None:
        limits, head = self.limits, self._head
        size = sum(len(name) + len(value) + 4 for name, value in head.headers)
        if self.received - self._heads_size - _BARE_HEAD - len(head.reason) - size > limits.header + 4:
            self._too_large(f"a header exceeds {limits.header} bytes", one=True)
        elif size > limits.head:
            self._too_large(f"the response headers exceed {limits.head} bytes together")

    def _switched(self, rest: bytes) -> None:
        self._keep_alive = False
        if rest:
            self._chunks.append(rest)

    # -- httptools' callbacks -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            self._surplus = True

    def on_status(self, status: bytes) -> None:
        if not self._surplus:
            self._head.reason += status  # it comes in pieces where packets end in it

    def on_header(self, name: bytes, value: bytes) -> None:
        if not (self._head_done or self._surplus):  # trailers are read and dropped (RFC 9110 section 6.5.1)
            self._head.headers.append((name, value))

    def _understand(self, head: ResponseHead) -> None:
        """Read from the header section how the body is framed."""
        for name, value in head.headers:
            special = _FRAMING_NAMES[name]
            if not special:
                continue
            if special == b"content-length":
                head.length = int(value)
            elif special == b"connection":
                head.connection += (value,)
            else:
                if head.chunked or value.strip().lower() != b"chunked":
                    words = f"transfer coding {value[:40].decode('latin-1')!r} is not understood"
                    self._unusable_because(ErrorType.HTTP_RESPONSE_TRANSFER_CODING, words)
                head.chunked = True

    def _check_sizes(self, head: ResponseHead) -> None:
        limits = self.limits
        total = 0
        if len(head.headers) > limits.headers:
            self._too_large(f"more than {limits.headers} response headers")
        for name, value in head.headers:
            size = len(name) + len(value)
            total += size + 4
            if size > limits.header:
                self._too_large(f"header {name[:40].decode('latin-1')} exceeds {limits.header} bytes", one=True)
        if total > limits.head:
            self._too_large(f"the response headers exceed {limits.head} bytes together")
        self._heads_size += total + _BARE_HEAD + len(head.reason)

    def on_headers_complete(self) -> None:
        if self._surplus or self._error is not None:
            return
        parser, head = self._parser, self._head
        status = head.status = parser.get_status_code()
        if self.received > self._harmless or len(head.headers) > self.limits.headers or status < 200:
            self._check_sizes(head)
        self._understand(head)
        usual = 200 <= status <= 599 and head.reason in _PHRASES
        if not (usual and self._interim_seen == 0 and self._start.startswith(b"HTTP/1.1 ")):
            version = parser.get_http_version()
            head.version = version.encode()
            wrong = self._wrong_status_line(head, version)
            if wrong is not None:
                self._unusable_because(ErrorType.HTTP_PROTOCOL_ERROR, wrong)
                return
        if status < 200 and status != _SWITCHING_PROTOCOLS:
            self._interim_seen += 1
            if self._interim_seen > self.limits.interim:
                details = f"more than {self.limits.interim} interim responses"
                self._unusable_because(ErrorType.HTTP_PROTOCOL_ERROR, details)
            self._heads.append(head)
            return
        self._head_done = True
        self._until_close = not (head.chunked or head.length is not None)
        self._keep_alive = parser.should_keep_alive()
        self._heads.append(head)
        if self._head_only:
            self._finish()

    def _wrong_status_line(self, head: ResponseHead, version: str) -> str | None:
        if version != "1.1" and not _HTTP_1.fullmatch(version):
            return f"HTTP version {version} in the status line"
        if head.status < 100 or head.status > 599:
            # RFC 9110 section 15: 100 to 599; real proxies differ on the rest, none can cache or classify it.
            return f"status code {head.status} is none"
        if _CONTROL.search(head.reason):
            return "a control character in the reason phrase"
        if self._start.lstrip(b"\r\n").startswith((b"RTSP/", b"ICE/")):  # which llhttp reads as if they were HTTP
            return "not an HTTP response: it does not start with HTTP/"
        return None

    def on_body(self, body: bytes) -> None:
        if self._surplus or self.complete:
            self._surplus = True
            return
        self._chunks.append(body)
        self._buffered += len(body)
        self.body_received += len(body)

    def on_message_complete(self) -> None:
        if self._surplus:
            return
        if self._head_done:
            self._finish()
        else:
            self._head = ResponseHead()

    def _finish(self) -> None:
        if self.complete:
            return
        self.complete = True
        if self._head_only and (self._head.chunked or self._head.length):
            # llhttp waits for the body that a response to HEAD announces and never has.
            self._parser = self._new_parser()

    # -- what goes wrong ------------------------------------------------------------------------------

    def _note(self, error: HopError) -> None:
        """End the exchange with `error`. The first error stays, and so does a whole response."""
        if self.complete:
            self._keep_alive = False
        elif self._error is None:
            self._error = error

    def _unusable_because(self, kind: ErrorType, details: str) -> None:
        self._unusable = True
        self._note(HopError(kind, details, phase=self.phase, first_bytes=self.first_bytes))

    def _too_large(self, details: str, *, one: bool = False) -> None:
        kinds = ErrorType.HTTP_RESPONSE_HEADER_SIZE, ErrorType.HTTP_RESPONSE_HEADER_SECTION_SIZE
        self._unusable_because(kinds[0] if one else kinds[1], details)

    def _parser_stopped(self, error: Exception) -> None:
        if self.complete:
            self._surplus = True
            return
        self._unusable_because(*diagnose(str(error), self._start, head_done=self._head_done))
