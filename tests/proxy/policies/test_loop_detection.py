from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.configuration.loops import LoopSettings
from badgateway_proxy.error_types import ErrorType
from badgateway_proxy.errors import HopError
from badgateway_proxy.policies.loop_detection import LoopDetection


def detection(name: str = "cdn", **settings: Any) -> LoopDetection:
    return LoopDetection(LoopSettings.model_validate({"cdn_id": "edge.example"} | settings), name)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, None),
        ({b"via": [b"1.1 lb, 1.1 other"]}, None),
        ({b"via": [b"1.1 lb, 1.1 cdn"]}, "Via"),
        ({b"via": [b"1.1 lb", b"HTTP/1.1 cdn (badgateway)"]}, "Via"),
        ({b"via": [b"cdn"]}, None),
        ({b"via": [b"1.1 cdn2, 1.1 a (cdn)"]}, None),
        ({b"cdn-loop": [b"foo123.foocdn.example, barcdn.example; trace=\"abcdef\""]}, None),
        ({b"cdn-loop": [b"barcdn.example; trace=\"abc\", edge.example;a=b"]}, "CDN-Loop"),
        ({b"cdn-loop": [b"a.example", b"EDGE.example"]}, "CDN-Loop"),
        ({b"cdn-loop": [b"not-edge.example, edge.example.org"]}, None),
        ({b"cdn-loop": [b"edge.example"], b"via": [b"1.1 cdn"]}, "CDN-Loop"),
    ],
)  # fmt: skip
def test_where_the_hop_has_been(fields: dict[bytes, list[bytes]], where: str | None) -> None:
    found = detection().found(fields)
    assert (found or "").partition(" ")[0] == (where or "")


def test_each_can_be_off() -> None:
    fields = {b"cdn-loop": [b"edge.example"], b"via": [b"1.1 cdn"]}
    assert (detection(cdn_id=None).found(fields) or "").startswith("Via")
    assert detection(cdn_id=None, via=False).found(fields) is None


@pytest.mark.parametrize(("status", "override"), [(502, None), (508, 508)])
def test_the_status_is_the_profiles_or_508(status: int, override: int | None) -> None:
    with pytest.raises(HopError) as error:
        detection(status=status).check({b"via": [b"1.1 cdn"]})
    assert (error.value.error, error.value.status) == (ErrorType.PROXY_LOOP_DETECTED, override)


@given(st.dictionaries(st.sampled_from([b"via", b"cdn-loop"]), st.lists(st.binary(max_size=60), max_size=3)))
def test_nonsense_is_no_loop_and_no_crash(fields: dict[bytes, list[bytes]]) -> None:
    found = detection(name="a-hop", cdn_id="a-cdn").found(fields)
    sent = b"".join(line for lines in fields.values() for line in lines).lower()
    assert found is None or b"a-hop" in sent or b"a-cdn" in sent


@pytest.mark.parametrize("text", ["", "two words", "a,b", 'quote"', "x" * 65])
def test_an_id_that_cannot_be_sent_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a name"):
        LoopSettings(cdn_id=text)
