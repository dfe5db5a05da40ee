"""What the LB of a real chain makes of each fault, tried one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from badgateway.chain.lab import Lab
from badgateway.chain.spec import ChainSpec
from badgateway.running.probe import Client
from badgateway_upstream import FAULTS

CHAIN: Final = {
    "lb": {"timeouts": {"connect": "800ms", "first_byte": "800ms", "between_bytes": "800ms", "request": "3s"}},
    "app": {"instances": 1},
}
"""Impatient, so that faults that last show soon; patient enough for a machine that stands still for a moment."""

_TRIES: Final = 3
"""Requests until a fault has acted: one of them strikes at the second request of a connection."""


async def reactions() -> Mapping[str, str]:
    """By fault, with its default attributes: the status that the LB sent, and the error type if it gave one."""
    seen: dict[str, str] = {}
    for need in (None, "tls", "dns"):
        seen |= await _reactions(need)
    return seen


async def _reactions(need: str | None) -> Mapping[str, str]:
    """Of the faults that need an app which speaks TLS, or a DNS server; or of all others."""
    seen: dict[str, str] = {}
    app = {"instances": 1, "tls": need == "tls"}
    chain = ChainSpec.model_validate({**CHAIN, "app": app, "dns": need == "dns"})
    target = "dns" if need == "dns" else "app"
    async with await Lab.start(chain) as lab:
        for name, fault in FAULTS.items():
            needed = any(field.is_required() for field in fault.attributes.model_fields.values())
            if needed or fault.needs != need:
                continue
            await lab.set_fault(target, {"kind": name, **({"name": "app-*"} if need == "dns" else {})})
            seen[name] = _words(await _struck(lab, name))
            await lab.reset()
    return seen


async def _struck(lab: Lab, name: str) -> Mapping[str, Any]:
    """The LB's record of the first request that the fault struck."""
    client = Client(lab.url)
    try:
        for number in range(_TRIES):
            request_id = f"{name}-{number}"
            await client.send("GET", "/products", {"X-Request-ID": request_id})
            (trace,) = await lab.exchanges(request_id=request_id)
            if (await lab.faults())[0].fired:
                return next(hop for hop in trace.hops if hop["hop"] == "lb")
    finally:
        client.close()
    raise AssertionError(f"{name} never acted")


def _words(record: Mapping[str, Any]) -> str:
    if record["truncated"]:
        return f"{record['status']}, cut short: `{record['error']}`"
    return f"{record['status']} `{record['error']}`" if record["error"] else f"{record['status']}, relayed"
