from __future__ import annotations

from pathlib import Path

from badgateway.scenario.catalogue import ScenarioEntry
from badgateway.terminal.codes import CLIENT_CODES, CODES, by_code, heading


def entry(id_: str, code: int | None) -> ScenarioEntry:
    return ScenarioEntry(id_, Path("x"), id_, code, (), {})


def test_the_codes_are_those_from_500_to_511_and_the_clients_that_hops_know_more_of() -> None:
    assert list(CODES) == list(range(500, 512))
    assert list(CLIENT_CODES) == sorted(CLIENT_CODES)
    assert {400, 408, 413, 414, 429, 431, 499} <= set(CLIENT_CODES)
    assert all(info.code == code for code, info in (CODES | CLIENT_CODES).items())


def test_scenarios_are_grouped_by_code_in_ascending_order() -> None:
    entries = [entry("504/a", 504), entry("429/a", 429), entry("504/b", 504), entry("x", None)]
    assert [(code, [e.id for e in members]) for code, members in by_code(entries)] == [
        (None, ["x"]),
        (429, ["429/a"]),
        (504, ["504/a", "504/b"]),
    ]


def test_a_heading_is_a_code_and_its_name() -> None:
    assert [heading(code) for code in (502, 429, 404, 200, None)] == [
        "502 Bad Gateway",
        "429 Too Many Requests",
        "404 Not Found",
        "200 OK",
        "no code",
    ]
