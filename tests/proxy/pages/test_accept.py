import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_proxy.pages.accept import preferred

OFFERED = ("application/problem+json", "application/json", "text/html")
PROBLEM, JSON, HTML = OFFERED


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, PROBLEM),
        ("", PROBLEM),
        ("*/*", PROBLEM),
        ("text/html", HTML),
        ("TEXT/HTML", HTML),
        ("application/json", JSON),
        ("application/*", PROBLEM),
        ("text/*", HTML),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", HTML),
        ("application/json, text/html;q=0.9", JSON),
        ("text/html;q=0.1, application/json;q=0.2", JSON),
        ("text/html;q=0, */*", PROBLEM),
        ("application/problem+json;q=0, application/json;q=0, */*;q=0.1", HTML),
        ("text/html;level=1;q=0.5, application/json;q=0.4", HTML),
        ("image/png", PROBLEM),
        ("text/html;q=2", PROBLEM),
        ("text/html;q=", PROBLEM),
        ("text/html ; q = 0.7 , */* ; q=0.1", HTML),
        (";;,,q=1", PROBLEM),
    ],
)
def test_prefers_what_the_client_prefers(accept: str | None, chosen: str) -> None:
    assert preferred(accept, OFFERED) == chosen


@given(st.text(alphabet="texhml/*;q=.019, ", max_size=80) | st.text())
def test_always_chooses_something(accept: str) -> None:
    assert preferred(accept, OFFERED) in OFFERED
