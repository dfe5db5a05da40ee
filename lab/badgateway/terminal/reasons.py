"""Who decided and why, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from badgateway.chain.traces import FROM_STORE
from badgateway.terminal.picture import TraceLike
from badgateway_proxy import ERROR_TABLE, ErrorType


def why(trace: TraceLike) -> str:
    """Who made the response that the client got, and for which reason."""
    decider = next((record for record in trace.hops if record["hop"] == trace.decided_by), None)
    cut = next((record for record in reversed(trace.hops) if record.get("truncated")), None)
    if cut is not None and cut.get("error"):
        return f"{cut['hop']} had already passed the head on when this happened: {sentence(cut['error'])}"
    if decider is not None and decider.get("cache") in FROM_STORE:
        return _from_store(decider, trace.error)
    if decider is not None and trace.error:
        details = decider.get("details")
        return f"{decider['hop']} decided: {sentence(trace.error)}" + (f" ({details})" if details else "")
    if not trace.hops and not trace.app:
        return "No hop recorded this request."
    return "The app answered, and every hop relayed it." if trace.hops else "The app answered; no hop was asked."


def _from_store(record: Mapping[str, Any], error: str | None) -> str:
    hop = record["hop"]
    if record["cache"] == "hit":
        return f"{hop} answered from its cache: what it had stored is still fresh."
    if error is None:
        return f"{hop} answered from its cache, with what is not fresh any more but may still be served."
    return f"{hop} answered from its cache, with what is not fresh any more, in place of an error: {sentence(error)}"


def sentence(error: str) -> str:
    """What the error type means, and its name: `The next hop … (connection_refused)`."""
    if error not in ERROR_TABLE:
        return error
    return f"{ERROR_TABLE[ErrorType(error)].sentence.rstrip('.')} [{error}]"
