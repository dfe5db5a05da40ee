"""Looks up upstreams' names again and again: every address of a name is then an endpoint (Envoy: STRICT_DNS).

Transport only: what other endpoints mean is decided elsewhere. Lookups are I/O, so they keep real time.
https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/service_discovery#strict-dns
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence

from badgateway_proxy.configuration.config import HopConfig
from badgateway_proxy.configuration.resolver_settings import ResolverSettings
from badgateway_proxy.errors import HopError
from badgateway_proxy.policies.balancer import Endpoint, parse_endpoint
from badgateway_proxy.transport.resolving import Addresses, Resolver

MOST = 256
"""Addresses of one name that become endpoints; the rest is left out."""

Told = Callable[[Mapping[str, Sequence[str]]], None]
"""Called when something changes: for each upstream that was found, as it is written, its endpoints."""


class Discovery:
    """Looks up names for as long as it is told to.

    Args:
        loop: the running event loop.
        told: called with what was found, at first and whenever it changes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, told: Told) -> None:
        self._loop = loop
        self._told = told
        self._wanted: tuple[object, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._found: dict[str, tuple[str, ...]] = {}

    def configure(self, config: HopConfig, resolver: Resolver) -> None:
        """Look up the upstreams' names by these settings from now on, at first at once; nothing where that is off."""
        settings, within = config.resolver, config.timeouts.connect
        names = {each: endpoint for each in config.upstreams if _is_name(endpoint := parse_endpoint(each))}
        wanted = (tuple(names), settings, within) if settings.strict_dns and names else ()
        if wanted == self._wanted:
            return
        self.close()
        self._wanted = wanted
        if wanted:
            self._task = self._loop.create_task(
                self._look_for_ever(names, resolver, settings, within), name="discovery"
            )
        else:
            self._tell({})

    def close(self) -> None:
        """Look up nothing any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look_for_ever(
        self, names: Mapping[str, Endpoint], resolver: Resolver, settings: ResolverSettings, within: float
    ) -> None:
        while True:
            found = await asyncio.gather(*(_look(endpoint, resolver, within) for endpoint in names.values()))
            self._tell({each: addresses for each, addresses in zip(names, found, strict=True) if addresses})
            await asyncio.sleep(settings.refresh_rate)

    def _tell(self, found: dict[str, tuple[str, ...]]) -> None:
        if found != self._found:
            self._found = found
            self._told(found)


async def _look(endpoint: Endpoint, resolver: Resolver, within: float) -> tuple[str, ...]:
    """The endpoints that a name stands for, in an order of their own as DNS rotates; none while nobody knows."""
    try:
        async with asyncio.timeout(within):
            addresses = await resolver.addresses(endpoint.host)
    except (HopError, TimeoutError):
        return ()
    scheme = "https" if endpoint.tls else "http"
    return tuple(f"{scheme}://{_authority(address, endpoint.port)}" for address in _of_one_family(addresses)[:MOST])


def _of_one_family(addresses: Addresses) -> list[str]:
    """IPv4 addresses, or where there are none IPv6: one that has both is one endpoint, not two."""
    four = {address for address, family in addresses if family == socket.AF_INET}
    chosen = four or {address.partition("%")[0] for address, _ in addresses}
    return sorted(chosen, key=lambda address: int(ipaddress.ip_address(address)))


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _is_name(endpoint: Endpoint) -> bool:
    try:
        ipaddress.ip_address(endpoint.host)
    except ValueError:
        return True
    return False
