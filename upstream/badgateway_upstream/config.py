"""How an instance is set up."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, SerializeAsAny, model_validator

from badgateway_upstream.app.dav.settings import DavSettings
from badgateway_upstream.app.environment import SIGNING_KEY
from badgateway_upstream.app.relay import backend_address
from badgateway_upstream.durations import Duration, PositiveDuration, format_duration
from badgateway_upstream.engine.registry import FaultSpec
from badgateway_upstream.strict import Strict

MOST_CONFIGURED: Final = 100


def _host(text: str) -> str:
    if text == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an IP address to listen on, such as 127.0.0.1 or 0.0.0.0") from None


def _backend(url: str) -> str:
    backend_address(url)
    return url


Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=0, le=65535)]
Variable = Annotated[str, Field(pattern=r"^SHOP_[A-Z0-9_]{1,60}$")]
FilePath = Annotated[Path, Field(strict=False)]


class Listen(Strict):
    """An address to listen on. Port 0: any free one."""

    host: Host = "127.0.0.1"
    port: Port = 9001


class Admin(Strict):
    """The control API's address and who may use it. `token` None: from the environment, or a random one."""

    host: Host = "127.0.0.1"
    port: Port = 0
    token: Annotated[str, Field(min_length=8, max_length=1024)] | None = None
    allowed_hosts: list[str] = Field(default_factory=list)


def _addresses(addresses: list[str]) -> list[str]:
    try:
        return [str(ipaddress.ip_address(each)) for each in addresses]
    except ValueError as error:
        raise ValueError(f"must be IP addresses: {error}") from None


DnsName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$")]


class Dns(Strict):
    """A DNS server (UDP) beside the app. For every name that has no record it says NXDOMAIN."""

    listen: Listen = Listen(port=5353)
    records: dict[DnsName, Annotated[list[str], AfterValidator(_addresses)]] = Field(
        default_factory=dict, max_length=1000
    )
    """Addresses by name."""


class InstanceConfig(Strict):
    """One instance. Durations are text such as ``10s``.

    `database`: a SQLite file, which instances may share; None: a private one. `backend`: relay to that URL instead of
    answering as the shop. `boot_delay`: wait so long before listening. `crash_after`: SIGKILL itself so long after
    that. `default_fault_duration`: for faults that do not say how long (never longer than the
    next). `max_fault_duration`: longer ones are refused.
    `files`: the folder that scripts may send files from. `drain`: how long SIGTERM waits for requests.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] = "app-1"
    listen: Listen = Listen()
    admin: Admin = Admin()
    database: FilePath | None = None
    """A SQLite file, which instances may share."""
    backend: Annotated[str, AfterValidator(_backend)] | None = None
    """Relay to this URL instead of answering as the shop."""
    allow_public: bool = False
    """Whether the backend may be outside loopback and private networks."""
    files: FilePath | None = None
    """The folder that scripts may send files from."""
    tls: bool = False
    """Serve HTTPS, with a certificate for its address, localhost and its name."""
    authority: FilePath | None = None
    """PEM file of the authority that signs its certificates: CA certificate and key; made if it is not there."""
    server_names: list[DnsName] = Field(default_factory=list, max_length=100)
    """Further names that its certificate is for."""
    dns: Dns | None = None
    """Answer DNS too, at this address, with these records."""
    faults: Annotated[list[SerializeAsAny[FaultSpec]], Field(max_length=MOST_CONFIGURED)] = Field(default_factory=list)
    boot_delay: Duration = 0.0
    """How long it waits before it listens."""
    crash_after: PositiveDuration | None = None
    """How long after that it kills itself (SIGKILL)."""
    default_fault_duration: PositiveDuration = 60.0
    """For faults that do not say how long; never longer than the next."""
    max_fault_duration: PositiveDuration = 600.0
    """Faults that are to last longer are refused."""
    keep_alive: PositiveDuration = 75.0
    """How long a connection may wait for its next request."""
    backlog: Annotated[int, Field(ge=1, le=65535)] = 128
    """Length of the listening socket's accept queue."""
    records: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """How many requests are remembered."""
    exit_with_stdin: bool = False
    """Exit at once when stdin ends."""
    drain: Duration = 2.0
    """How long SIGTERM waits for requests."""
    environment: dict[Variable, str] = Field(
        default_factory=lambda: {SIGNING_KEY: "sk-not-for-strangers"}, max_length=50
    )
    """The shop's own environment variables: it signs its receipts with SHOP_SIGNING_KEY."""
    check_environment: bool = False
    """Do not start if a variable that the app needs is missing, instead of failing when it is first used."""
    debug: bool = False
    """Show clients the stack trace and the shop's environment when there is an exception, as debug modes do."""
    dav: DavSettings = DavSettings()
    """The shop's files, by WebDAV."""
    terms_required: bool = False
    """Give the price list only to clients that declare the terms of use, as a mandatory extension (RFC 2774)."""
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    """Threads for work that takes time, such as reports. What finds all of them busy waits."""
    worker_timeout: PositiveDuration | None = None
    """Break the connection of a request that takes longer, as gunicorn's timeout does (WORKER TIMEOUT)."""
    statement_timeout: PositiveDuration | None = None
    """The database ends a query that takes longer (PostgreSQL's word); the shop then answers 503."""
    downstream_timeout: PositiveDuration | None = None
    """How long the shop waits for the service that it depends on; then it answers 504. Without it: for ever."""
    lock_timeout: PositiveDuration = 5.0
    """How long a write waits for another transaction on the database (SQLite's busy_timeout)."""

    @model_validator(mode="after")
    def _faults_end(self) -> Self:
        for number, fault in enumerate(self.faults):
            if fault.for_ is not None and fault.for_ > self.max_fault_duration:
                longest = format_duration(self.max_fault_duration)
                raise ValueError(f"faults[{number}] lasts longer than max_fault_duration ({longest})")
        return self
