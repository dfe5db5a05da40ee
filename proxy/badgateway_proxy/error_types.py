"""RFC 9209's error types, and all that is known about each, in one table.

Status, retry condition, breaker weight, the sentences that people read and the names that other gateways
use all come from here. ``status`` and ``section`` are those of RFC 9209 section 2.3; the registry is
https://www.iana.org/assignments/http-proxy-status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

Blame = Literal["client", "upstream", "network", "proxy", "operator"]
RetryCondition = Literal[
    "connect-failure", "refused", "reset", "timeout", "gateway-error", "5xx", "retriable-status-codes"
]


class ErrorType(StrEnum):
    """Every proxy error type that RFC 9209 section 2.3 registers."""

    DNS_TIMEOUT = "dns_timeout"
    DNS_ERROR = "dns_error"
    DESTINATION_NOT_FOUND = "destination_not_found"
    DESTINATION_UNAVAILABLE = "destination_unavailable"
    DESTINATION_IP_PROHIBITED = "destination_ip_prohibited"
    DESTINATION_IP_UNROUTABLE = "destination_ip_unroutable"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_TERMINATED = "connection_terminated"
    CONNECTION_TIMEOUT = "connection_timeout"
    CONNECTION_READ_TIMEOUT = "connection_read_timeout"
    CONNECTION_WRITE_TIMEOUT = "connection_write_timeout"
    CONNECTION_LIMIT_REACHED = "connection_limit_reached"
    TLS_PROTOCOL_ERROR = "tls_protocol_error"
    TLS_CERTIFICATE_ERROR = "tls_certificate_error"
    TLS_ALERT_RECEIVED = "tls_alert_received"
    HTTP_REQUEST_ERROR = "http_request_error"
    HTTP_REQUEST_DENIED = "http_request_denied"
    HTTP_RESPONSE_INCOMPLETE = "http_response_incomplete"
    HTTP_RESPONSE_HEADER_SECTION_SIZE = "http_response_header_section_size"
    HTTP_RESPONSE_HEADER_SIZE = "http_response_header_size"
    HTTP_RESPONSE_BODY_SIZE = "http_response_body_size"
    HTTP_RESPONSE_TRAILER_SECTION_SIZE = "http_response_trailer_section_size"
    HTTP_RESPONSE_TRAILER_SIZE = "http_response_trailer_size"
    HTTP_RESPONSE_TRANSFER_CODING = "http_response_transfer_coding"
    HTTP_RESPONSE_CONTENT_CODING = "http_response_content_coding"
    HTTP_RESPONSE_TIMEOUT = "http_response_timeout"
    HTTP_UPGRADE_FAILED = "http_upgrade_failed"
    HTTP_PROTOCOL_ERROR = "http_protocol_error"
    PROXY_INTERNAL_RESPONSE = "proxy_internal_response"
    PROXY_INTERNAL_ERROR = "proxy_internal_error"
    PROXY_CONFIGURATION_ERROR = "proxy_configuration_error"
    PROXY_LOOP_DETECTED = "proxy_loop_detected"


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """What is known about one error type.

    ``status``: RFC 9209's recommended status; None where it says "the one that fits".
    ``sentence``: what happened, in one sentence, for people. ``cause``: what usually lies behind it.
    ``blame``: whose problem it is. ``retry``: when trying again may help, for people.
    ``retry_condition``: the retry policy's condition that covers it; None: this hop never tries again.
    ``breaker``: whether it counts as a failure of the upstream. ``generated_only``: registered as occurring
    only on responses that the intermediary itself generates. ``parameters``: the extra parameters registered.
    ``envoy`` (response flags), ``haproxy`` (termination states), ``nginx`` (words of its error log) and
    ``cloudflare`` (status): what the same event is called there; empty where there is no such name.
    """

    token: ErrorType
    section: str
    status: int | None
    blame: Blame
    sentence: str
    cause: str
    retry: str
    retry_condition: RetryCondition | None
    breaker: bool
    generated_only: bool
    parameters: tuple[str, ...] = ()
    envoy: str = ""
    haproxy: str = ""
    nginx: str = ""
    cloudflare: str = ""


_UNSENT = "Yes, elsewhere or later: nothing was sent, so nothing can have been done twice."
_UNKNOWN = "Only an idempotent request: the upstream may have acted on it before it failed."
_SAME_ANSWER = "Seldom: the same request usually gets the same answer."
_ELSEWHERE = "Perhaps on another endpoint; on this one it stays so until something is changed."
_NO = "No: the outcome will be the same until something is changed."

_ROWS: Final = (
    ErrorInfo(
        ErrorType.DNS_TIMEOUT, "2.3.1", 504, "network",
        "The hop asked DNS for the next hop's address, and no answer came in time.",
        "A resolver that is down, overloaded or unreachable.",
        _UNSENT, "connect-failure", breaker=True, generated_only=True,
    ),
    ErrorInfo(
        ErrorType.DNS_ERROR, "2.3.2", 502, "network",
        "DNS has no address for the next hop.",
        "A misspelt upstream name, a record not yet or no longer there, or a resolver that fails.",
        "Perhaps later; a name that does not exist stays away.", "connect-failure", breaker=True,
        generated_only=True, parameters=("rcode", "info-code"),
        envoy="DF", nginx="host not found in upstream", cloudflare="530",
    ),
    ErrorInfo(
        ErrorType.DESTINATION_NOT_FOUND, "2.3.3", 500, "operator",
        "The hop does not know where to send this request.",
        "No route or no upstream is configured for it.",
        _NO, None, breaker=False, generated_only=True, envoy="NR",
    ),
    ErrorInfo(
        ErrorType.DESTINATION_UNAVAILABLE, "2.3.4", 503, "upstream",
        "The hop considers the next hop unavailable and did not try it.",
        "An open circuit breaker, or health checks that leave no endpoint.",
        "Later, after Retry-After; the hop is shielding an upstream that has just failed.", None,
        breaker=False, generated_only=True,
        envoy="UH, LH, URX, NC", haproxy="SC, <NOSRV>", nginx="no live upstreams (sends 502)",
    ),
    ErrorInfo(
        ErrorType.DESTINATION_IP_PROHIBITED, "2.3.5", 502, "operator",
        "The hop is configured not to connect to the address that the next hop has.",
        "An upstream outside the allowed networks, or DNS that points somewhere it should not.",
        _NO, None, breaker=False, generated_only=True,
    ),
    ErrorInfo(
        ErrorType.DESTINATION_IP_UNROUTABLE, "2.3.6", 502, "network",
        "The hop has no route to the next hop's address.",
        "A missing route, a network interface that is down, a host that left the network.",
        _UNSENT, "connect-failure", breaker=True, generated_only=True,
        envoy="UF", haproxy="SC", cloudflare="523",
    ),
    ErrorInfo(
        ErrorType.CONNECTION_REFUSED, "2.3.7", 502, "upstream",
        "The next hop's machine refused the connection.",
        "Nothing listens on the port: the process crashed, is being deployed, or listens elsewhere.",
        _UNSENT, "connect-failure", breaker=True, generated_only=True,
        envoy="UF (sends 503)", haproxy="SC (sends 503)",
        nginx="connect() failed (111: Connection refused)", cloudflare="521",
    ),
    ErrorInfo(
        ErrorType.CONNECTION_TERMINATED, "2.3.8", 502, "upstream",
        "The next hop closed the connection before its response was there.",
        "The process died while it worked, or closed an idle connection just as a request arrived on it.",
        _UNKNOWN, "reset", breaker=True, generated_only=False,
        envoy="UC, UR (sends 503)", haproxy="SH, SD",
        nginx="upstream prematurely closed connection", cloudflare="520",
    ),
    ErrorInfo(
        ErrorType.CONNECTION_TIMEOUT, "2.3.9", 504, "network",
        "The connection to the next hop was not established in time.",
        "A host that is gone, packets dropped by a firewall, or a full accept queue.",
        _UNSENT, "connect-failure", breaker=True, generated_only=True,
        envoy="UF (sends 503)", haproxy="sC (sends 503)",
        nginx="upstream timed out (110) while connecting to upstream", cloudflare="522",
    ),
    ErrorInfo(
        ErrorType.CONNECTION_READ_TIMEOUT, "2.3.10", 504, "upstream",
        "The hop waited for data from the next hop, and none came in time.",
        "A stalled or frozen process, or a response that stops in its middle.",
        _UNKNOWN, "timeout", breaker=True, generated_only=False,
        envoy="SI", haproxy="sH, sD", nginx="upstream timed out (110) while reading upstream",
        cloudflare="524",
    ),
    ErrorInfo(
        ErrorType.CONNECTION_WRITE_TIMEOUT, "2.3.11", 504, "upstream",
        "The hop could not hand its data to the next hop in time.",
        "A process that accepts connections and does not read from them, so that all buffers are full.",
        _UNKNOWN, "timeout", breaker=True, generated_only=False,
        haproxy="sD", nginx="upstream timed out (110) while sending request to upstream",
    ),
    ErrorInfo(
        ErrorType.CONNECTION_LIMIT_REACHED, "2.3.12", 503, "proxy",
        "The hop already has as many connections to the next hop as it may.",
        "More traffic than the limit was made for, or a slow upstream that holds connections long.",
        "Later; at once only adds to the load.", None, breaker=False, generated_only=True,
        envoy="UO", haproxy="sQ, PC",
    ),
    ErrorInfo(
        ErrorType.TLS_PROTOCOL_ERROR, "2.3.13", 502, "upstream",
        "TLS with the next hop failed.",
        "TLS spoken to a plaintext port, something else on that port, or a version that the hop does not accept.",
        _ELSEWHERE, "connect-failure", breaker=True, generated_only=False,
        envoy="UF", haproxy="SC", nginx="SSL_do_handshake() failed", cloudflare="525",
    ),
    ErrorInfo(
        ErrorType.TLS_CERTIFICATE_ERROR, "2.3.14", 502, "operator",
        "The next hop's certificate could not be verified.",
        "It expired, is for another name, or is signed by an authority that the hop does not trust.",
        _ELSEWHERE, "connect-failure", breaker=True, generated_only=True,
        envoy="UF", haproxy="SC", nginx="upstream SSL certificate verify error", cloudflare="526",
    ),
    ErrorInfo(
        ErrorType.TLS_ALERT_RECEIVED, "2.3.15", 502, "upstream",
        "The next hop answered with a TLS alert.",
        "It refused the handshake: no version, cipher or protocol in common, no client certificate, an unknown name.",
        _ELSEWHERE, "connect-failure", breaker=True, generated_only=False, parameters=("alert-id", "alert-message"),
        envoy="UF", haproxy="SC", cloudflare="525",
    ),
    ErrorInfo(
        ErrorType.HTTP_REQUEST_ERROR, "2.3.16", None, "client",
        "The hop refused the client's request itself, with a 4xx.",
        "A request that is malformed, too large, too slow to arrive, or one too many of this client (429).",
        "No: the client must change its request; after a 429, wait.", None, breaker=False, generated_only=True,
        parameters=("status-code", "status-phrase"), envoy="DPE, RL", haproxy="PR, cR",
    ),
    ErrorInfo(
        ErrorType.HTTP_REQUEST_DENIED, "2.3.17", 403, "client",
        "The hop's policy does not let this request through.",
        "A rule of the hop: access control, a forbidden method or path.",
        "No: the client may not.", None, breaker=False, generated_only=True,
        envoy="UAEX", haproxy="PR",
    ),
    ErrorInfo(
        ErrorType.HTTP_RESPONSE_INCOMPLETE, "2.3.18", 502, "upstream",
        "The next hop's response ended before it was complete.",
        "The process died while it sent, or announced more bytes than it had.",
        _UNKNOWN, "reset", breaker=True, generated_only=False,
        envoy="UC", haproxy="SD", nginx="upstream prematurely closed connection while reading upstream",
        cloudflare="520",
    ),
    ErrorInfo(
        ErrorType.HTTP_RESPONSE_HEADER_SECTION_SIZE, "2.3.19", 502, "upstream",
        "The headers of the next hop's response are larger, all together, than the hop accepts.",
        "Cookies that pile up, or an app that puts data into headers.",
        _SAME_ANSWER, "gateway-error", breaker=True, generated_only=False,
        parameters=("header-section-size",),
        envoy="UPE", haproxy="PH", nginx="upstream sent too big header", cloudflare="520",
    ),
    ErrorInfo(
        ErrorType.HTTP_RESPONSE_HEADER_SIZE, "2.3.20", 502, "upstream",
        "One header of the next hop's response is larger than the hop accepts.",
        "A huge cookie or token.",
        _SAME_ANSWER, "gateway-error", breaker=True, generated_only=False,
        parameters=("header-name", "header-size"),
        envoy="UPE", haproxy="PH", nginx="upstream sent too big header", cloudflare="520",
    ),
    ErrorInfo(
        ErrorType.HTTP_RESPONSE_BODY_SIZE, "2.3.21", 502, "upstream",
        "The body of the next hop's response is larger than the hop accepts.",
        "A query without a limit, or a file that grew.",
        _SAME_ANSWER, "gateway-error", breaker=True, generated_only=False, parameters=("body-size",),
    ),
    ErrorInfo(
        ErrorType.HTTP_RESPONSE_TRAILER_SECTION_SIZE, "2.3.22", 502, "upstream",
        "The trailers of the next hop's response are larger, all together, than the hop accepts.",
        "An app that puts data into trailers.",
        _SAME_ANSWER, "gateway-error", breaker=True, generated_only=False,
        parameters=("trailer-section-size",),
    ),
    ErrorInfo(
        ErrorType.HTTP_RESPONSE_TRAILER_SIZE, "2.3.23", 502, "upstream",
        "One trailer of the next hop's response is larger than the hop accepts.",
        "An app that puts data into trailers.",
        _SAME_ANSWER, "gateway-error", breaker=True, generated_only=False,
        parameters=("trailer-name", "trailer-size"),
    ),
    ErrorInfo(
        ErrorType.HTTP_RESPONSE_TRANSFER_CODING, "2.3.24", 502, "upstream",
        "The next hop's chunked framing is broken.",
        "An app or library that writes chunks by hand, or two processes writing to one connection.",
        _SAME_ANSWER, "gateway-error", breaker=True, generated_only=False, parameters=("coding",),
        envoy="UPE", haproxy="PH, PD", nginx="upstream sent invalid chunked response",
    ),
    ErrorInfo(
        ErrorType.HTTP_RESPONSE_CONTENT_CODING, "2.3.25", 502, "upstream",
        "The next hop's body is not in the compression that its Content-Encoding names.",
        "A response compressed twice or not at all, or cut while it was compressed.",
        _SAME_ANSWER, "gateway-error", breaker=True, generated_only=False, parameters=("coding",),
    ),
    ErrorInfo(
        ErrorType.HTTP_RESPONSE_TIMEOUT, "2.3.26", 504, "upstream",
        "The next hop took the request, and its response did not come in time.",
        "A slow query, a lock, an overloaded or frozen process.",
        "Only an idempotent request, and with care: the upstream may be slow because it is overloaded.",
        "timeout", breaker=True, generated_only=False,
        envoy="UT", haproxy="sH", nginx="upstream timed out (110) while reading response header",
        cloudflare="524",
    ),
    ErrorInfo(
        ErrorType.HTTP_UPGRADE_FAILED, "2.3.27", 502, "upstream",
        "The upgrade to another protocol did not work between the hop and the next hop.",
        "A 101 that nobody asked for, or one without the protocol that was asked for.",
        _SAME_ANSWER, "gateway-error", breaker=True, generated_only=True,
    ),
    ErrorInfo(
        ErrorType.HTTP_PROTOCOL_ERROR, "2.3.28", 502, "upstream",
        "What the next hop sent is not HTTP that the hop can understand.",
        "Another protocol on that port, a broken header, or an answer that smells of response splitting.",
        _SAME_ANSWER, "gateway-error", breaker=True, generated_only=False,
        envoy="UPE", haproxy="PH", nginx="upstream sent invalid header / sent no valid HTTP/1.0 header",
        cloudflare="520",
    ),
    ErrorInfo(
        ErrorType.PROXY_INTERNAL_RESPONSE, "2.3.29", None, "proxy",
        "The hop answered by itself, as it is meant to, without asking the next hop.",
        "Maintenance, a rate limit of the whole server, load shedding, a login page: it is configured to.",
        "As the response says.", None, breaker=False, generated_only=True, envoy="FI, OM", haproxy="LR",
    ),
    ErrorInfo(
        ErrorType.PROXY_INTERNAL_ERROR, "2.3.30", 500, "proxy",
        "The hop itself failed; the next hop has nothing to do with it.",
        "A bug in the hop, or a resource that it ran out of.",
        "Perhaps later.", None, breaker=False, generated_only=True, haproxy="I*",
    ),
    ErrorInfo(
        ErrorType.PROXY_CONFIGURATION_ERROR, "2.3.31", 500, "operator",
        "The hop's configuration is wrong.",
        "A setting that contradicts another one, or names something that is not there.",
        _NO, None, breaker=False, generated_only=True,
    ),
    ErrorInfo(
        ErrorType.PROXY_LOOP_DETECTED, "2.3.32", 502, "operator",
        "The request has been at this hop before.",
        "Hops that are each other's upstream, or a name that resolves to the hop itself.",
        _NO, None, breaker=False, generated_only=True,
    ),
)  # fmt: skip

ERROR_TABLE: Final[Mapping[ErrorType, ErrorInfo]] = MappingProxyType({row.token: row for row in _ROWS})
"""Every `ErrorType` and what is known about it."""
