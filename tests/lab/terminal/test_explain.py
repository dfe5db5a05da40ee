import re
from pathlib import Path

import pytest

from badgateway.alerting.rules import ALERTS
from badgateway.chain.errors import InvalidRequest
from badgateway.scenario.catalogue import ScenarioEntry
from badgateway.terminal.codes import CLIENT_CODES, CODES, KNOWN_CODES
from badgateway.terminal.explain import explain, plain
from badgateway_proxy import ERROR_TABLE
from badgateway_upstream import FAULTS

SHOWN = ScenarioEntry("502/app-crashed", Path("x"), "The app crashed", 502, ("connection_refused",), {})


def text(topic: str) -> str:
    return "\n".join(line for section in explain(topic, [SHOWN]) for line in plain(section))


@pytest.mark.parametrize("code", list(CODES))
def test_every_code_says_what_who_retry_alert_and_where(code: int) -> None:
    told = text(str(code))
    assert told.startswith(f"{code} {CODES[code].name}\n")
    for label in ("what", "who", "retry?", "alert?", "section", "registered", "elsewhere"):
        assert f"\n  {label} " in told


def test_all_codes_from_500_to_511_are_there() -> None:
    assert list(CODES) == list(range(500, 512))


@pytest.mark.parametrize("error", list(ERROR_TABLE))
def test_every_error_type_of_the_table_is_explained(error: str) -> None:
    told = text(error)
    assert ERROR_TABLE[error].sentence in told  # type: ignore[index]  # a StrEnum's members are found by their text
    assert f"RFC 9209 section {ERROR_TABLE[error].section}" in told  # type: ignore[index]  # the same
    for label in ("what", "cause", "status", "retry?", "alert?", "elsewhere", "registered"):
        assert f"\n  {label} " in told


def test_a_code_lists_its_causes_each_with_the_scenarios_that_show_it() -> None:
    told = text("502")
    assert "  connection_refused: The next hop's machine refused the connection. → 502/app-crashed\n" in told
    assert "  dns_error: DNS has no address for the next hop.\n" in told
    assert "  502/app-crashed: The app crashed" in told


def test_causes_that_are_no_error_types_are_taken_from_the_scenarios() -> None:
    shown = ScenarioEntry("500/bad", Path("x"), "Bad", 500, ("exception", "deploy", "bad_luck"), {})
    told = "\n".join(plain(explain("500", [shown])[0]))
    assert f"  exception: {FAULTS['exception'].summary} → 500/bad\n" in told
    assert re.search(r"  deploy: [A-Z][^\n]+\. → 500/bad\n", told)
    assert "  bad_luck: → 500/bad\n" in told


def test_a_code_has_each_name_elsewhere_once() -> None:
    (envoy,) = re.findall("Envoy: (.*)", text("502"))
    assert envoy.split(", ") == list(dict.fromkeys(envoy.split(", ")))
    assert "UF" in envoy
    assert "\n  elsewhere   no name of its own in Envoy" in text("510")


def test_an_error_type_says_what_others_call_it_and_where_to_see_it() -> None:
    told = text("connection-refused")
    assert "Cloudflare 521" in told
    assert "502/app-crashed" in told


@pytest.mark.parametrize(
    ("alias", "error"),
    [
        ("UC", "http_response_incomplete"),
        ("sq", "connection_limit_reached"),
        ("522", "connection_timeout"),
        ("RL", "429 Too Many Requests"),
        ("499", "499 Client Closed Request"),
    ],
)
def test_words_of_other_gateways_are_understood(alias: str, error: str) -> None:
    assert error in text(alias)


def test_only_509_and_499_are_not_registered_and_510_is_obsoleted() -> None:
    assert [code for code, info in KNOWN_CODES.items() if info.registered.startswith("no:")] == [499, 509]
    assert "OBSOLETED" in KNOWN_CODES[510].registered
    assert "seldom seen" in KNOWN_CODES[506].registered


@pytest.mark.parametrize("code", KNOWN_CODES)
def test_what_is_said_of_alerting_is_what_the_rules_do(code: int) -> None:
    said = KNOWN_CODES[code].alert
    if any(alert.bad.matches(code) for alert in ALERTS.values()):
        assert said.startswith("Yes") or re.match("No single one.*(alerts on 5xx count it|by a rule of its own)", said)
    else:
        assert said.startswith("No")
        assert "alerts" not in said


def test_a_burst_of_429_is_the_only_thing_about_clients_that_deserves_an_alert() -> None:
    assert "A burst of them yes" in text("429")


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("conection_refused", 'did you mean "connection_refused"'),
        ("timeout", "known: dns_timeout, connection_timeout, connection_read_timeout"),
        ("599", "give a code from 400 to 511"),
        ("§", "give"),
    ],
)
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


@pytest.mark.parametrize(("code", "name"), [("404", "Not Found"), ("422", "Unprocessable Content"), ("460", "(no reg")])
def test_other_errors_of_a_client_are_relayed(code: str, name: str) -> None:
    told = text(code)
    assert told.startswith(f"{code} {name}")
    assert "relay it" in told
    shown = ScenarioEntry(f"{code}/x", Path("x"), "X happens", int(code), (), {})
    assert f"  {code}/x: X happens" in "\n".join(plain(explain(code, [shown])[0]))
