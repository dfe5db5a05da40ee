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
    return _replaced(settings, urls, {name: urlsplit(url).netloc for name, url in urls.items()})


def with_names(settings: Mapping[str, Any], urls: Mapping[str, str]) -> dict[str, Any]:
    """The other way round: so that they mean the same in another chain."""
    names = {url: name for name, url in urls.items()}
    return _replaced(settings, names, {urlsplit(url).netloc: name for url, name in names.items()})


def _replaced(
    settings: Mapping[str, Any], upstreams: Mapping[str, str], endpoints: Mapping[str, str]
) -> dict[str, Any]:
    named = dict(settings)
    if isinstance(named.get("upstreams"), Sequence) and not isinstance(named["upstreams"], str):
        named["upstreams"] = _list(named["upstreams"], upstreams)
    balancing = named.get("balancing")
    if isinstance(balancing, Mapping):
        named["balancing"] = changed = dict(balancing)
        if isinstance(changed.get("drain"), Sequence) and not isinstance(changed["drain"], str):
            changed["drain"] = _list(changed["drain"], endpoints)
        if isinstance(changed.get("weights"), Mapping):
            changed["weights"] = {endpoints.get(key, key): weight for key, weight in changed["weights"].items()}
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
