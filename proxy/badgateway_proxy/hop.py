"""One gateway: its configuration made live, what exchanges need at hand, what the admin API may do to it."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import StreamReader
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from badgateway_proxy import records, upstream_gate
from badgateway_proxy.admission import Admission, admission_for
from badgateway_proxy.cache.cache import Cache
from badgateway_proxy.clock import Clock
from badgateway_proxy.configuration.caching import CacheSettings
from badgateway_proxy.configuration.config import HopConfig
from badgateway_proxy.configuration.resolver_settings import ResolverSettings
from badgateway_proxy.configuration.tls_settings import UpstreamTlsSettings
from badgateway_proxy.errors import HopError
from badgateway_proxy.hedging import exchange_class
from badgateway_proxy.policies.affinity import Affinity
from badgateway_proxy.policies.balancer import EndpointState
from badgateway_proxy.policies.breaker import Breaker, Event, State
from badgateway_proxy.policies.endpoint_set import EndpointSet
from badgateway_proxy.policies.loop_detection import LoopDetection
from badgateway_proxy.policies.profiles import PROFILES
from badgateway_proxy.policies.retry import RetryPolicy
from badgateway_proxy.policies.retry_budget import RetryBudget
from badgateway_proxy.records import ExchangeRecord, Recorder
from badgateway_proxy.reply import Reply
from badgateway_proxy.transport.attempt import Deadlines
from badgateway_proxy.transport.client_connection import ClientConnection
from badgateway_proxy.transport.discovery import Discovery
from badgateway_proxy.transport.driving import Exchanging
from badgateway_proxy.transport.health_prober import HealthProber
from badgateway_proxy.transport.pool import Pool, PoolLimits, TlsClient
from badgateway_proxy.transport.proxy_status import member
from badgateway_proxy.transport.repeated import Repeated
from badgateway_proxy.transport.request import Request
from badgateway_proxy.transport.resolving import resolver_for
from badgateway_proxy.transport.response_reader import ResponseLimits
from badgateway_proxy.transport.tls_contexts import upstream_context
from badgateway_proxy.upstream_gate import UpstreamGate

if TYPE_CHECKING:
    from badgateway_proxy.tracing.tracer import Tracer

_LOG = logging.getLogger("badgateway_proxy.exchange")

#: Stands in for a request that never was one: a HTTP/1.1 client's that says nothing about itself.
_NO_REQUEST = Request(
    RawRequestMessage("", "", HttpVersion11, CIMultiDictProxy(CIMultiDict()), (), True, None, False, False, URL("/"))
)


class Hop:
    """One gateway: what an exchange needs at hand, and what the admin API may do to it.

    Args:
        config: the hop's configuration.
        seed: of the random generator that jitter uses; None for a different one each time.
    """

    def __init__(self, config: HopConfig, seed: int | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._initial = config
        self.clock = Clock()
        self.recorder = Recorder(config.records)
        self.breaker = Breaker(config.breaker, self._breaker_changed)
        generator = random.Random(seed)  # noqa: S311 - neither jitter nor a request's id is a secret
        self.random = generator.random
        self._bits = generator.getrandbits
        self.draining = False
        self.in_flight = 0
        self._idle: asyncio.Event | None = None
        self.admission: Admission | None = None
        self._tls_settings: UpstreamTlsSettings | None = None
        self._resolver_settings = ResolverSettings()
        self._gate = UpstreamGate(self.loop, config)
        self.gate: UpstreamGate | None = None
        self.pool = Pool(self.loop, _pool_limits(config), _response_limits(config))
        self.endpoints = EndpointSet(config, self.random, self._endpoint_changed, self.clock.now())
        self._prober = HealthProber(self.loop, self.pool, self._checked)
        self._discovery = Discovery(self.loop, self._discovered)
        self._retries = RetryBudget(config.retry.budget)
        self.cache: Cache | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        #: What traces exchanges; None where nothing does.
        self.tracer = _tracer_for(config, self._bits)
        self._adopt(config)

    def _adopt(self, config: HopConfig) -> None:
        self.config = config
        self.timeouts = config.timeouts
        self.limits = config.limits
        #: Requests that came before under this configuration.
        self.repeated: Repeated[Request] = Repeated()
        self.per_try_timeout = config.retry.per_try_timeout
        self.deadlines = Deadlines(config.timeouts, self.per_try_timeout)
        self._speak_tls(config)
        if config.resolver != self._resolver_settings:
            self._resolver_settings = config.resolver
            self.pool.resolve_by(resolver_for(self.loop, config.resolver))
        self._discovery.configure(config, self.pool.resolver)
        #: Tells which requests belong together; None where that does not matter.
        self.affinity = affinity if (affinity := Affinity(config.balancing)).on else None
        #: What watches how attempts end; None where nothing does.
        self.outlier = self.endpoints.outlier
        if self.tracer is not None:
            self.tracer.knows(member.endpoint for member in self.endpoints.members)
        self._prober.configure(config.health, self.deadlines, [*self.endpoints.members])
        self.retry = RetryPolicy(config.retry)
        self._retries.settings = config.retry.budget
        #: What bounds the retries under way; None where nothing does.
        self.retry_budget = self._retries if config.retry.budget.enabled else None
        self.breaker_settings = config.breaker
        self.profile = PROFILES[config.profile]
        self.loops = LoopDetection(config.loop, config.name)
        self.admission = admission_for(config, self.clock.now(), self.admission)
        self._gate.configure(config)
        #: The way to the upstream; None if nothing is limited there.
        self.gate = self._gate if upstream_gate.is_wanted(config) else None
        self.name, self.tier = config.name, config.tier
        self.scheme = b"https" if config.tls.enabled else b"http"
        self.token = config.name.encode()
        self.via = b"1.1 " + self.token
        self.via_1_0 = b"1.0 " + self.token
        self._members: dict[tuple[str, int], tuple[str, bytes]] = {}
        self.client_head_timeout = config.timeouts.client_head
        self.client_send_timeout = config.timeouts.send
        self.client_options: Mapping[str, Any] = {
            "keepalive_timeout": config.timeouts.client_idle,
            "max_line_size": config.limits.request_line,
            "max_field_size": config.limits.request_header,
            "max_headers": config.limits.request_header_count,
        }
        self.max_connections = config.limits.connections
        self.allow_custom_methods = config.http1.allow_custom_methods
        self._log_exchanges = config.log_exchanges
        self._exchange = exchange_class(config)
        self._adopt_cache(config.cache)

    def _speak_tls(self, config: HopConfig) -> None:
        """Be ready for TLS with the upstreams, if it is spoken to any; the context is made anew only if it changes."""
        settings = config.upstream_tls if any(each.endpoint.tls for each in self.endpoints.members) else None
        if settings == self._tls_settings:
            return
        self._tls_settings = settings
        tls = None if settings is None else TlsClient(upstream_context(settings), settings.server_name)
        self.pool.speak_tls(tls)

    def _adopt_cache(self, settings: CacheSettings) -> None:
        if not settings.enabled:
            self.cache = None
        elif self.cache is None:
            self.cache = Cache(settings, self.token)
        else:
            self.cache.configure(settings)

    # -- for exchanges ---------------------------------------------------------------------------------

    def new_request_id(self) -> str:
        """An X-Request-ID for a request that came without one: 16 hexadecimal digits."""
        return self._bits(64).to_bytes(8).hex()

    def serve(self, client: ClientConnection, request: Request, body: StreamReader) -> Exchanging:
        """Serve one request. The result says whether the client's connection may carry another."""
        self.in_flight += 1
        return self._exchange(self, client, request, body).run()

    def serve_behind(self, exchanging: Coroutine[Any, Any, None]) -> None:
        """Run an exchange that no client waits for."""
        self.in_flight += 1
        self.spawn(exchanging)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something beside the exchanges; it ends with the event loop at the latest."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def ended(self, record: ExchangeRecord) -> None:
        """An exchange is over, whatever became of it."""
        self._note(record)
        if record.cache is not None and self.cache is not None:
            self.cache.results[record.cache] += 1
        self.in_flight -= 1
        if self._idle is not None and not self.in_flight:
            self._idle.set()

    def _note(self, record: ExchangeRecord) -> None:
        self.recorder.add(record)
        if self.tracer is not None and record.trace is not None:
            self.tracer.ended(record, record.trace)
        if self._log_exchanges:
            _log(record)

    async def until_idle(self) -> None:
        """Wait until no request is being served."""
        if self.in_flight:
            self._idle = asyncio.Event()
            await self._idle.wait()

    def refuse(self, client: ClientConnection, error: HopError) -> None:
        """Answer, and record, what never became a request."""
        method, target = client.asked
        request_id = client.given_id or self.new_request_id()
        record = ExchangeRecord(self.name, self.tier, request_id, time.time(), client.address, method, target)
        record.error, record.details, record.breaker = error.error.value, error.details, self.breaker.current
        if self.tracer is not None:
            record.trace = self.tracer.begin(_NO_REQUEST)
        try:
            Reply(self, client, _NO_REQUEST, record).generate(error, endpoint=None, keep_alive=False)
        except ConnectionError:
            record.client_gone = True
        self._note(record)

    def relay_member(self, endpoint: str, status: int) -> tuple[str, bytes]:
        """This hop's Proxy-Status member for a response that it relays, as text and as bytes."""
        found = self._members.get((endpoint, status))
        if found is None:
            text = member(self.name, next_hop=endpoint, received_status=status)
            found = self._members[endpoint, status] = text, text.encode()
        return found

    def error_member(self, error: HopError, *, endpoint: str | None, status: int) -> str:
        """This hop's Proxy-Status member for a response that it generates (RFC 9209 section 2)."""
        extra = {"status-code": status} if error.error == "http_request_error" else error.parameters
        return member(self.config.name, error=error.error.value, details=error.details, next_hop=endpoint, extra=extra)

    def _breaker_changed(self, old: State, new: State, why: Event) -> None:
        change = {"hop": self.config.name, "from": old.value, "to": new.value, "why": why.value}
        self.recorder.publish(records.Event("breaker", change))

    def _endpoint_changed(self, endpoint: EndpointState, state: str, why: str) -> None:
        change = {"hop": self._initial.name, "endpoint": endpoint.endpoint.text, "to": state, "why": why}
        self.recorder.publish(records.Event("endpoint", change))

    def _checked(self, endpoint: EndpointState, passed: bool, words: str) -> None:
        self.endpoints.checked(endpoint, passed, words, self.clock.now())

    def _discovered(self, found: Mapping[str, Sequence[str]]) -> None:
        self.endpoints.discovered(found, self.clock.now())
        self._prober.configure(self.config.health, self.deadlines, [*self.endpoints.members])

    def close(self) -> None:
        """Look for nothing any more, close every connection to endpoints, also those in use; send the last spans."""
        self._discovery.close()
        self._prober.close()
        self.pool.close()
        if self.tracer is not None:
            self.tracer.close()

    # -- for the admin API -----------------------------------------------------------------------------

    def apply_config(self, config: HopConfig) -> None:
        """Use another configuration from the next request on."""
        if config.breaker != self.config.breaker:
            self.breaker.reconfigure(config.breaker, self.clock.now())
        self.endpoints.configure(config, self.clock.now())
        self._adopt(config)
        self.recorder.resize(config.records)
        self.pool.configure(_pool_limits(config), _response_limits(config))

    def reset(self) -> None:
        """Back to how it started: configuration, clock, breaker, endpoints, records, no idle connections, no cache."""
        self.clock.reset()
        self.admission = None
        self.endpoints.clear(self.clock.now())
        self.cache = None  # whose ages were measured with that clock
        self.apply_config(self._initial)
        self.breaker.reset(self.clock.now())
        self._retries.refused = self._gate.limits.retries_refused = 0
        self.recorder.clear()
        self.pool.close_idle()

    def state(self) -> dict[str, Any]:
        """What `GET /state` answers."""
        now = self.clock.now()
        endpoints = self.endpoints.snapshot(now)
        for described, known in zip(endpoints, self.endpoints.members, strict=True):
            described["idle"] = self.pool.counts(known.endpoint)
        return {
            "name": self.config.name,
            "tier": self.config.tier,
            "breaker": self.breaker.snapshot(now),
            "scheme": self.scheme.decode(),
            "endpoints": endpoints,
            "ejections": dict(self.endpoints.ejections),
            "panic": self.endpoints.panic,
            "retries": {
                "active": self._retries.active,
                "refused": self._retries.refused + self._gate.limits.retries_refused,
            },
            "connections": self.pool.open,
            "in_flight": self.in_flight,
            "admission": {} if self.admission is None else self.admission.state(now),
            "upstream": None if self.gate is None else self.gate.state(),
            "clock_offset": self.clock.offset,
            "totals": self.recorder.totals(),
            **({} if self.cache is None else {"cache": self.cache.state()}),
        }


def _tracer_for(config: HopConfig, bits: Callable[[int], int]) -> "Tracer | None":
    if not config.tracing.enabled:
        return None
    from badgateway_proxy.tracing.tracer import Tracer  # noqa: PLC0415 - imports OpenTelemetry, an optional extra

    return Tracer(config, bits)


def _log(record: ExchangeRecord) -> None:
    _LOG.info("%s %s %s", record.method, record.target, record.status or "-", extra={"exchange": record.as_dict()})


def _pool_limits(config: HopConfig) -> PoolLimits:
    most = config.upstream_limits.max_connections
    return PoolLimits(config.pool.idle, config.timeouts.pool_idle, config.allow_public_upstreams, most)


def _response_limits(config: HopConfig) -> ResponseLimits:
    limits = config.limits
    return ResponseLimits(
        head=limits.response_headers_total,
        header=limits.response_header,
        headers=limits.response_header_count,
        interim=limits.interim_responses,
        first_bytes=config.keep_first_bytes,
    )
