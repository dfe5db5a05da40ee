import re
from pathlib import Path

import pytest

from badgateway.chain.errors import InvalidRequest
from badgateway.scenario.catalogue import ScenarioEntry
from badgateway.terminal.codes import CLIENT_CODES, CODES
from badgateway.terminal.explain import explain, plain
from badgateway_proxy import ERROR_TABLE

SHOWN = ScenarioEntry("502/app-crashed", Path("x"), "The app crashed", 502, ("connection_refused",), {})


def text(topic: str) -> str:
    return "\n".join(line for section in explain(topic, [SHOWN]) for line in plain(section))


@pytest.mark.parametrize("code", list(CODES))
def test_every_code_says_what_who_retry_alert_and_where(code: int) -> None:
    told = text(str(code))
    assert told.startswith(f"{code} {CODES[code].name}\n")
    for label in ("what", "who", "retry?", "alert?", "section", "registered"):
        assert f"\n  {label} " in told


def test_all_codes_from_500_to_511_are_there() -> None:
    assert list(CODES) == list(range(500, 512))


@pytest.mark.parametrize("error", list(ERROR_TABLE))
def test_every_error_type_of_the_table_is_explained(error: str) -> None:
    told = text(error)
    assert ERROR_TABLE[error].sentence in told  # type: ignore[index]  # a StrEnum's members are found by their text
    assert f"RFC 9209 section {ERROR_TABLE[error].section}" in told  # type: ignore[index]  # the same


def test_a_code_lists_its_error_types_and_scenarios() -> None:
    told = text("502")
    assert "connection_refused: " in told
    assert "502/app-crashed: The app crashed" in told


def test_an_error_type_says_what_others_call_it_and_where_to_see_it() -> None:
    told = text("connection-refused")
    assert "Cloudflare 521" in told
    assert "502/app-crashed" in told


@pytest.mark.parametrize(("alias", "error"), [("UC", "http_response_incomplete"), ("sq", "connection_limit_reached")])
def test_words_of_other_gateways_are_understood(alias: str, error: str) -> None:
    assert error in text(alias)


def test_only_509_is_not_registered() -> None:
    assert [code for code, info in CODES.items() if info.registered.startswith("no")] == [509]


@pytest.mark.parametrize(("topic", "said"), [("conection_refused", "connection_refused"), ("599", "50"), ("§", "give")])
def test_an_unknown_topic_gets_a_hint(topic: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        explain(topic, [])
    assert said in str(error.value)


@pytest.mark.parametrize("code", list(CLIENT_CODES))
def test_a_clients_error_that_hops_know_is_no_problem_of_theirs(code: int) -> None:
    told = text(str(code))
    assert told.startswith(f"{code} {CLIENT_CODES[code].name}\n")
    assert re.search(r"\n  retry\? +(No|Hops do not)", told)
    assert re.search(r"\n  alert\? +No", told)


@pytest.mark.parametrize(("code", "name"), [("404", "Not Found"), ("422", "Unprocessable Content"), ("499", "(no reg")])
def test_other_errors_of_a_client_are_relayed(code: str, name: str) -> None:
    told = text(code)
    assert told.startswith(f"{code} {name}")
    assert "relay it" in told
