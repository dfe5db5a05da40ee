"""What is wrong with a client's request: pure functions from what was parsed (or was not) to a status and words.

These are the client's errors (RFC 9110 section 15.5): they never reach an endpoint, open no breaker and are not
retried. Framing that two parsers could read differently is refused, not repaired (RFC 9112 section 11.2).
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from aiohttp.http import HttpVersion10, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong

from badgateway_proxy.errors import ErrorType, HopError, Phase

_REQUEST_LINE_VERSION = re.compile(rb"[^ \r\n]+ [^ \r\n]+ HTTP/([0-9]+\.[0-9]+)\r?\n")
_PREFACE = re.compile(rb"PRI \* HTTP/(2\.0)\r")  # HTTP/2's (RFC 9113 section 3.4)
_LATER_MINOR = re.compile(rb"((?:\r\n)*[^ \r\n]+ [^ \r\n]+ HTTP/1\.)[2-9]\r\n")
_REQUEST_ID = re.compile(rb"\r\nx-request-id:[ \t]*([!-~]{1,128})[ \t]*\r\n", re.IGNORECASE)
_REQUEST_LINE = re.compile(rb"([!-~]{1,32}) ([!-~]+)")
#: A token, as a method is one (RFC 9110 section 9.1).
_METHOD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ")
_LINE_START = re.compile(rb"(?:^|\r\n)" + _METHOD.pattern)
#: uri-host and an optional port (RFC 9110 section 7.2, RFC 3986 section 3.2.2); may be empty.
_HOST = re.compile(r"(?:\[[\w.~!$&'()*+,;=:%-]+\]|[\w.~!$&'()*+,;=%-]*)(?::[0-9]*)?", re.ASCII)
_ABSOLUTE = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_TLS_CLIENT_HELLO = b"\x16\x03"
_SPEAKABLE = ("1.0", "1.1")


def client_error(status: int, details: str, retry_after: float | None = None) -> HopError:
    """The error for a request that this hop refuses with a 4xx (or 501, 505) of its own.

    RFC 9209 section 2.3.15 has http_request_error for 4xx only; a 5xx that no attempt preceded is
    proxy_internal_response (section 2.3.29).
    """
    kind = ErrorType.HTTP_REQUEST_ERROR if status < 500 else ErrorType.PROXY_INTERNAL_RESPONSE
    return HopError(kind, details, phase=Phase.CLIENT, status=status, retry_after=retry_after)


def unparsable(error: BaseException, head_start: bytes) -> HopError:
    """Name what the parser refused.

    Args:
        error: the exception of aiohttp's parser.
        head_start: the first bytes of the request, as far as they were kept.

    Returns:
        An error with status 400, 414, 431 or 505.
    """
    version = _REQUEST_LINE_VERSION.match(head_start) or _PREFACE.match(head_start)
    if version is not None and version[1].decode() not in _SPEAKABLE:
        return unspeakable(version[1].decode())
    if isinstance(error, LineTooLong):
        return _too_long(error, head_start)
    if head_start.startswith(_TLS_CLIENT_HELLO):
        return client_error(400, "a TLS handshake on a plaintext port")
    words = error.message if isinstance(error, HttpProcessingError) else str(error)
    if words == "Too many headers received":
        return client_error(431, "too many request headers")
    method = _METHOD.match(head_start)
    if isinstance(error, BadHttpMethod) and method is not None:
        return client_error(501, f"the method {method[1].decode()} is not implemented here")
    return client_error(400, f"the request cannot be parsed: {_in_short(words)}")


def _too_long(error: LineTooLong, head_start: bytes) -> HopError:
    # The parser does not tell which line it was; but it shows how it begins.
    line, *_ = error.args
    begins = (line.encode() if isinstance(line, str) else bytes(line)).removesuffix(b"...")[:64]
    if any(head_start.startswith(begins, found.end()) for found in _LINE_START.finditer(head_start)):
        return client_error(414, "the request line is too long")
    return client_error(431, "a request header is too long")


def _in_short(words: str) -> str:
    """llhttp's reason out of aiohttp's message of several lines."""
    lines = (line.strip().rstrip(":") for line in words.removeprefix("Bad status line:").splitlines())
    return next(filter(None, lines), "no HTTP/1 request")


def asked_for(head_start: bytes) -> tuple[str, str]:
    """The method and target that a head's first bytes tell, printable; empty where they tell none."""
    found = _REQUEST_LINE.match(head_start)
    return (found[1].decode(), found[2].decode()) if found else ("", "")


def id_in(head_start: bytes) -> str | None:
    """The X-Request-ID among a head's first bytes, so that also what could not be parsed is found by it."""
    head, end, _ = head_start.partition(b"\r\n\r\n")
    found = _REQUEST_ID.search(head + end)
    return None if found is None else found[1].decode()


def as_http_1_1(head: bytes) -> bytes | None:
    """`head` with a later minor version of HTTP/1 replaced by 1.1; None if it is of none.

    RFC 9110 section 2.5: a recipient reads it as the highest minor version that it knows.
    """
    found = _LATER_MINOR.match(head)
    return None if found is None else head[: found.end(1)] + b"1" + head[found.end(1) + 1 :]


def unspeakable(version: str) -> HopError:
    """505 (RFC 9110 section 15.6.6): a major version that this hop does not speak, or none at all."""
    return client_error(505, f"HTTP/{version} is not spoken here; HTTP/1.1 is")


def check_framing(message: RawRequestMessage, *, max_header: int, max_headers: int) -> None:
    """Refuse a header section that is too large or whose framing is ambiguous.

    What aiohttp's parser refuses never comes here: repeated or malformed Content-Length, Content-Length together
    with Transfer-Encoding, obs-fold, bare CR, a space before the colon.

    Args:
        message: the request's head.
        max_header: the cap that the parser held each header to, in bytes.
        max_headers: the cap on all names and values together, in bytes.

    Raises:
        HopError: status 400 (RFC 9112 section 6.3), 431 (RFC 6585) or 501 (RFC 9112 section 6.1).
    """
    raw_headers = message.raw_headers
    if len(raw_headers) * 2 * max_header > max_headers:
        size = sum(len(name) + len(value) for name, value in raw_headers)
        if size > max_headers:
            raise client_error(431, f"the request headers exceed {max_headers} bytes together")
    codings = message.headers.getall("Transfer-Encoding", ())
    if codings:
        _check_coding(
            codings, has_length="Content-Length" in message.headers, http_1_0=message.version == HttpVersion10
        )


def check_host(message: RawRequestMessage) -> None:
    """Refuse a Host that is none. (One that is missing or there twice is refused by aiohttp's parser.)

    Raises:
        HopError: status 400 (RFC 9112 section 3.2).
    """
    host = message.headers.get("Host")
    if host is not None and not _is_host(host):
        raise client_error(400, "Host is no host name or address with an optional port")


@lru_cache(maxsize=256)
def _is_host(value: str) -> bool:
    return _HOST.fullmatch(value) is not None


def _check_coding(values: Sequence[str], *, has_length: bool, http_1_0: bool) -> None:
    if len(values) > 1:
        raise client_error(400, "more than one Transfer-Encoding")
    if has_length:
        raise client_error(400, "Content-Length together with Transfer-Encoding")
    if http_1_0:
        raise client_error(400, "Transfer-Encoding in an HTTP/1.0 request")
    codings = [part.strip() for part in values[0].lower().split(",")]
    if codings == ["chunked"]:
        return
    if codings[-1] == "chunked" and codings.count("chunked") == 1 and "identity" not in codings:
        raise client_error(501, "a transfer coding other than chunked is not implemented here")
    raise client_error(400, "a Transfer-Encoding that does not end in one chunked")


def origin_form(message: RawRequestMessage) -> str:
    """The request target in origin form (RFC 9112 section 3.2), for one that is not in it yet.

    Raises:
        HopError: status 501 for CONNECT, 400 for what is no target.
    """
    if message.method == "CONNECT":
        raise client_error(501, "CONNECT asks for a tunnel; this gateway opens none")
    path = message.path
    if path == "*" and message.method == "OPTIONS":
        return path
    if _ABSOLUTE.match(path) is None:
        raise client_error(400, "the request target is neither a path nor an absolute URL")
    authority, slash, rest = path.partition("//")[2].partition("/")
    if not slash:
        authority, mark, rest = authority.partition("?")
        slash = "/?" if mark else ""
    if "@" in authority:  # RFC 9110 section 4.2.4
        raise client_error(400, "the request target has user information in it")
    if not slash:
        return "*" if message.method == "OPTIONS" else "/"  # RFC 9112 section 3.2.4
    return slash + rest
