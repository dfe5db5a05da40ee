"""Names of nodes where a hop's settings want addresses: `drain: [app-2]` is what a person writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

NAMED = ("drain", "weights")
"""Settings under `balancing` that are a list of endpoints, or a mapping from them."""


def with_addresses(settings: Mapping[str, Any], urls: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a hop, or a patch of them, with names replaced. `urls`: where nodes listen, by name.

    What is no name stays as it is: it is an address already, or the hop will say what is wrong with it.
    """
    named = dict(settings)
    if isinstance(named.get("upstreams"), Sequence) and not isinstance(named["upstreams"], str):
        named["upstreams"] = _list(named["upstreams"], urls)
    balancing = named.get("balancing")
    if isinstance(balancing, Mapping):
        addresses = {name: urlsplit(url).netloc for name, url in urls.items()}
        named["balancing"] = changed = dict(balancing)
        if isinstance(changed.get("drain"), Sequence) and not isinstance(changed["drain"], str):
            changed["drain"] = _list(changed["drain"], addresses)
        if isinstance(changed.get("weights"), Mapping):
            changed["weights"] = {addresses.get(key, key): weight for key, weight in changed["weights"].items()}
    return named


def _list(entries: Sequence[Any], known: Mapping[str, str]) -> list[Any]:
    return [known.get(entry, entry) if isinstance(entry, str) else entry for entry in entries]


def names_in(settings: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Endpoints to drain or weigh that must be names, as they are no addresses, and where they stand.

    Not those among `upstreams`: there, what has no port may be the name of a machine.
    """
    balancing = settings.get("balancing")
    for key in NAMED:
        value: object = balancing.get(key) if isinstance(balancing, Mapping) else None
        entries: Iterator[tuple[str | int, object]] = iter(())
        if isinstance(value, Mapping):
            entries = ((name, name) for name in value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            entries = iter(enumerate(value))
        for place, entry in entries:
            if isinstance(entry, str) and ":" not in entry:
                yield ("balancing", key, place), entry
