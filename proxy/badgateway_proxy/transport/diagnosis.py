"""What a peer's bytes were, if they were no proper HTTP response: pure functions from bytes to words.

Each answer is one RFC 9209 error type and a sentence for `details`. The parser says *that* it cannot go on;
the first bytes often say *why* (TLS spoken to a plaintext port, HTTP/2, an HTML page without a head).
"""

from badgateway_proxy.errors import ErrorType

_HTTP2_FRAME_TYPES = {4: "SETTINGS", 7: "GOAWAY"}
_HTTP2_PREFACE = b"PRI * HTTP/2"
_TLS_ALERT, _TLS_HANDSHAKE = 0x15, 0x16

#: llhttp's words for a body whose transfer coding cannot be decoded.
_CODING_WORDS = ("chunk", "Transfer-Encoding")


def diagnose(reason: str, first_bytes: bytes, *, head_done: bool) -> tuple[ErrorType, str]:
    """Name what was wrong with a response that the parser refused.

    Args:
        reason: the parser's own words (llhttp's `reason`).
        first_bytes: the first bytes that the peer sent in this response; may be cut short.
        head_done: whether the response's head had been read to its end.

    Returns:
        The error type (RFC 9209 section 2.3) and a sentence that says what was seen.
    """
    if head_done:
        return ErrorType.HTTP_RESPONSE_TRANSFER_CODING, f"the body cannot be decoded: {reason}"
    if any(word in reason for word in _CODING_WORDS):
        return ErrorType.HTTP_RESPONSE_TRANSFER_CODING, f"the head contradicts itself: {reason}"
    spoken = other_protocol(first_bytes)
    if spoken is not None:
        return ErrorType.HTTP_PROTOCOL_ERROR, f"not an HTTP/1 response: {spoken}"
    if not first_bytes.startswith(b"HTTP/"):
        return ErrorType.HTTP_PROTOCOL_ERROR, "not an HTTP response: it does not start with HTTP/"
    return ErrorType.HTTP_PROTOCOL_ERROR, f"malformed response: {reason}"


def other_protocol(first_bytes: bytes) -> str | None:
    """Say which other protocol these bytes open with (TLS, HTTP/2), or None.

    TLS records: RFC 8446 section 5.1. HTTP/2 frames and preface: RFC 9113 sections 3.4 and 4.1.
    """
    if len(first_bytes) >= 2 and first_bytes[1] == 3:
        if first_bytes[0] == _TLS_ALERT:
            return "a TLS alert (does the peer expect TLS on this port?)"
        if first_bytes[0] == _TLS_HANDSHAKE:
            return "a TLS handshake"
    if first_bytes.startswith(_HTTP2_PREFACE):
        return "the HTTP/2 connection preface"
    if len(first_bytes) >= 9 and first_bytes[:2] == b"\0\0" and first_bytes[5:9] == b"\0\0\0\0":
        frame = _HTTP2_FRAME_TYPES.get(first_bytes[3])
        if frame is not None:
            return f"an HTTP/2 {frame} frame"
    return None


def closed_early(
    *, received: int, head_done: bool, reset: bool, reused: bool, expected: int | None, body_received: int
) -> tuple[ErrorType, str]:
    """Name what a connection that ended before its response did.

    Args:
        received: bytes received in answer to this request.
        head_done: whether the head had been read to its end.
        reset: whether the end was a RST (else a FIN).
        reused: whether the connection had served a request before.
        expected: the response's Content-Length in bytes, None where it gave none.
        body_received: bytes of the body received (decoded).
    """
    how = "reset the connection" if reset else "closed the connection"
    if head_done:
        size = (
            f"{body_received} of {expected} bytes" if expected is not None else f"{body_received} bytes, no last chunk"
        )
        return ErrorType.HTTP_RESPONSE_INCOMPLETE, f"the peer {how} in the body ({size})"
    if received:
        return ErrorType.HTTP_RESPONSE_INCOMPLETE, f"the peer {how} in the response head ({received} bytes)"
    which = "on a reused connection " if reused else ""
    return ErrorType.CONNECTION_TERMINATED, f"the peer {how} {which}before it sent a byte of its response"
