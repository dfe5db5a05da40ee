"""What a fault is: its name, its attributes, its effect; and the one registry of them.

A fault's file in `faults/` defines a `FaultSpec` subclass (the attributes) and registers one `FaultType`. Nothing
outside that file knows the fault's name: the engine only knows the four kinds of effect below.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final, Generic, Literal, Protocol, Self, TypeVar

from pydantic import Field, model_validator

from badgateway_upstream.dns.nameserver import NameAnswer
from badgateway_upstream.durations import PositiveDuration
from badgateway_upstream.engine.schedule import Occasion, When
from badgateway_upstream.strict import Strict, did_you_mean, refusal
from badgateway_upstream.wire.sinks import Sink

Category = Literal["process", "connection", "response", "flow", "app", "dns", "user"]
Need = Literal["tls", "dns"]
FaultId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]

_TYPES: Final[dict[str, FaultType[Any]]] = {}
FAULTS: Final[Mapping[str, FaultType[Any]]] = MappingProxyType(_TYPES)
"""Every fault there is, by name."""


class FaultSpec(Strict):
    """A fault as people write it: `kind`, the attributes of that kind, and optionally `for`, `when` and `id`.

    ``FaultSpec.model_validate({"kind": "latency", "latency": "300ms", "for": "10s"})`` returns the subclass for that
    kind. `for_` is None where the instance's default applies. Raises pydantic.ValidationError with readable messages.
    """

    kind: str
    id: FaultId | None = None
    """A name for it, to clear it by; one is made if absent."""
    for_: PositiveDuration | None = Field(default=None, alias="for")
    """How long it lasts; a fault always ends by itself."""
    when: When = When()
    """Which requests it takes; every one if absent."""

    @classmethod
    def choose(cls, data: object) -> type[Strict]:
        """The subclass whose kind ``data`` names; raises ValidationError for an unknown kind."""
        if cls is not FaultSpec or not isinstance(data, dict):
            return cls
        kind = data.get("kind")
        if kind is None:
            raise refusal("fault", ("kind",), "is required: the name of a fault", data)
        if not isinstance(kind, str) or kind not in FAULTS:
            raise refusal("fault", ("kind",), f"unknown fault {kind!r}; {did_you_mean(kind, FAULTS)}", data)
        return FAULTS[kind].attributes

    @model_validator(mode="after")
    def _decidable(self) -> Self:
        kind = FAULTS.get(self.kind)
        if kind is not None and kind.before_the_request and self.when.about_the_request:
            names = ", ".join(f"when.{name}" for name in self.when.about_the_request)
            raise ValueError(
                f"{self.kind} acts before any request is read, so {names} cannot be decided;"
                " it can use every, percentage, first and instance"
            )
        return self


S = TypeVar("S", bound=FaultSpec)
S_contra = TypeVar("S_contra", bound=FaultSpec, contravariant=True)


class Occurrence(Protocol):
    """One time that a fault acts."""

    @property
    def random(self) -> random.Random:
        """The fault's own generator, seeded by `when.seed`."""

    def fire(self) -> None:
        """Record that it happens; call it just before the effect. Only the first call counts."""

    async def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the fault lasts."""


class ProcessControls(Protocol):
    """What a process fault can do to the process it runs in. All of it is real."""

    def kill(self) -> None:
        """SIGKILL this process."""

    def exit(self, status: int) -> None:
        """Leave at once with this exit status, without finishing anything."""

    def freeze(self, seconds: float) -> None:
        """SIGSTOP this process; it goes on after so many seconds, or when somebody sends SIGCONT."""

    def stop_listening(self) -> None:
        """Close the listening socket: new connections are refused."""

    def fill_accept_queue(self) -> None:
        """Stop accepting and fill the kernel's queue, so that new SYNs are dropped."""

    def listen_again(self) -> None:
        """Undo the two above."""

    def close_idle(self) -> None:
        """Close kept-alive connections that have no request, so that callers must connect anew."""

    def exhaust_descriptors(self, limit: int, *, close_idle: bool) -> str:
        """Use up all file descriptors, of which there are ``limit`` from now on; return what shows it."""

    def restore_descriptors(self) -> None:
        """Undo that."""

    def leak_memory(self, amount: int, over: float, limit: int | None) -> str:
        """Grow by so many bytes within so many seconds, to be killed beyond ``limit``; return what shows it."""

    def free_memory(self) -> None:
        """Undo that."""

    def lock_database(self) -> str:
        """Keep everybody from writing to the database; return what shows it."""

    def unlock_database(self) -> None:
        """Undo that."""

    def damage_database(self, how: Literal["missing_table", "corrupt", "read_only"]) -> str:
        """Have the app work on a damaged copy of its database; return what shows it."""

    def mend_database(self) -> None:
        """Undo that."""

    def fill_disk(self) -> str:
        """Have the app's files on a disk that is full; return what shows it."""

    def empty_disk(self) -> None:
        """Undo that."""


class Identity(Protocol):
    """What a fault may present in a TLS handshake. All of it is real: OpenSSL makes the handshake."""

    def server(self, *names: str, expired_for: float | None = None, by_a_stranger: bool = False) -> ssl.SSLContext:
        """A context with a certificate for ``names`` (by default the instance's own).

        ``expired_for``: seconds since it expired; None: it is valid. ``by_a_stranger``: signed by an authority that
        nobody knows, instead of by the instance's.
        """

    def trust(self, context: ssl.SSLContext) -> None:
        """Let a context trust the instance's authority."""


class Handling(Protocol):
    """The handling of one request, for a fault that is in the handler. What is awaited ends with the fault."""

    async def in_worker(self, work: Callable[[], None]) -> None:
        """Have one of the app's worker threads do it."""

    async def query(self, seconds: float) -> None:
        """Have a worker run a database query that takes so long."""

    async def call_downstream(self) -> None:
        """Call the service that the app depends on, which hangs."""


class Begin(Protocol[S_contra]):
    """Starts a process fault's effect, which lasts ``seconds`` unless it ends the process.

    Returns what shows that it happened, such as ``RLIMIT_NOFILE is 64, and open() fails with EMFILE``; None where the
    process's own state does. Raises OSError where the machine does not let it happen.
    """

    def __call__(self, spec: S_contra, process: ProcessControls, seconds: float) -> str | None: ...


@dataclass(frozen=True)
class Script(Generic[S]):
    """The effect is a wire script played instead of the answer; ``steps`` makes its data, in the form users write.

    ``on_accept``: played as soon as the connection is accepted, before anything is read.
    """

    steps: Callable[[S], list[Any]]
    on_accept: bool = False


@dataclass(frozen=True)
class Shape(Generic[S]):
    """The effect changes the flow of what is sent: ``wrap`` returns a sink that passes it on, shaped."""

    wrap: Callable[[S, Sink, Occurrence], Sink]


@dataclass(frozen=True)
class Break(Generic[S]):
    """The effect is inside the app's handler: ``strike`` raises, or blocks, or returns what the handler then awaits."""

    strike: Callable[[S, Handling], Awaitable[None] | None]


@dataclass(frozen=True)
class Process(Generic[S]):
    """The effect happens to the process itself. ``end`` undoes what lasts."""

    begin: Begin[S]
    end: Callable[[S, ProcessControls], None] | None = None


@dataclass(frozen=True)
class Handshake(Generic[S]):
    """The effect is another TLS handshake: ``context`` says with what. None: no TLS is spoken at all."""

    context: Callable[[S, Identity], ssl.SSLContext | None]


@dataclass(frozen=True)
class Lookup(Generic[S]):
    """The effect is another answer of the DNS server: ``answer`` makes it from the true one."""

    answer: Callable[[S, NameAnswer], NameAnswer]


Effect = Script[S] | Shape[S] | Break[S] | Process[S] | Handshake[S] | Lookup[S]


def _always(spec: Any, occasion: Occasion) -> bool:
    del spec, occasion
    return True


def _never(spec: Any) -> None:
    del spec


@dataclass(frozen=True, kw_only=True)
class FaultType(Generic[S]):
    """A kind of fault. `provokes`: the RFC 9209 error type that the next hop reports, None where there is none.

    `applies` is a condition that belongs to the fault itself. `respawn(spec)` returns changes to the InstanceConfig
    (as data) with which a supervisor starts the killed process again while the fault lasts; None: as it was.
    `needs`: what the instance must do for the fault to have a meaning: speak TLS, or answer DNS.
    """

    name: str
    category: Category
    summary: str
    provokes: str | None
    attributes: type[S]
    effect: Effect[S]
    applies: Callable[[S, Occasion], bool] = field(default=_always)
    respawn: Callable[[S], Mapping[str, Any] | None] = field(default=_never)
    needs: Need | None = None

    @property
    def respawns(self) -> bool:
        """Whether a supervisor starts again what it killed."""
        return self.respawn is not _never

    @property
    def before_the_request(self) -> bool:
        """Whether it acts on a connection from which nothing was read yet."""
        if isinstance(self.effect, Script):
            return self.effect.on_accept
        return isinstance(self.effect, Handshake | Lookup)


def register(fault: FaultType[S]) -> FaultType[S]:
    """Add a fault to `FAULTS`. Raises ``ValueError`` when the name is taken or its attributes say another name."""
    if fault.name in _TYPES:
        raise ValueError(f"there is a fault named {fault.name!r} already")
    if fault.attributes.model_fields["kind"].default != fault.name:
        raise ValueError(f"the attributes of {fault.name!r} must have kind {fault.name!r} as their default")
    _TYPES[fault.name] = fault
    return fault
