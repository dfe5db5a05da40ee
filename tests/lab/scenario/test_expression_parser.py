from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.inputs.problems import InvalidInput
from badgateway.scenario.expression_parser import FILTERS, ExpressionError, parse_expression
from badgateway.scenario.expressions import (
    All,
    AnyOf,
    Comparison,
    Constant,
    Expression,
    Filter,
    Measure,
    Not,
    measures,
    number_text,
)


@pytest.mark.parametrize(
    "text",
    [
        "share(status=504, decided_by=lb) > 95%",
        "p95 < 300ms",
        "p99.9(status=200) <= 1.5s",
        "count() == 0",
        "rate(status=5xx) >= 50/s",
        "0 < count(path=/products/*, method=GET, truncated=true)",
        "share(status!=200) < 0.01",
        "not (p50 < 1s or max > 2s) and mean < 1s",
        'count(path="/a b") > 1',
        "count(error=none, failure=timed_out) != 3",
        "min > 0s",
    ],
)
def test_what_can_be_written_is_written_again_in_the_same_way(text: str) -> None:
    assert str(parse_expression(text)) == text


def test_precedence_is_not_then_and_then_or() -> None:
    parsed = parse_expression("not p50 < 1s and p90 < 2s or p99 < 3s")
    assert isinstance(parsed, AnyOf)
    [first, _] = parsed.parts
    assert isinstance(first, All)
    assert isinstance(first.parts[0], Not)
    assert [m.name for m in measures(parsed)] == ["p50", "p90", "p99"]


def test_blank_space_does_not_matter() -> None:
    assert parse_expression("  share( status=504 ,decided_by = lb )>95% \n") == parse_expression(
        "share(status=504, decided_by=lb) > 95%"
    )


@pytest.mark.parametrize(
    ("text", "offset", "said", "hint"),
    [
        ("", 0, "expected something measured", ""),
        ("shar(status=200) > 5%", 0, 'nothing measured is called "shar"', 'did you mean "share"?'),
        ("share > 5ms", 8, "share is a share, to be compared with something like 95%, not 5ms", ""),
        ("p95 < 5%", 6, "p95 is a duration, to be compared with something like 300ms, not 5%", ""),
        ("5% > p95", 0, "p95 is a duration", ""),
        ("share > 5", 8, "share is a share", ""),
        ("count > 5/s", 8, "count is a number", ""),
        ("rate > 5%", 7, "rate is a rate", ""),
        ("p0 < 1s", 0, "a percentile is more than 0", ""),
        ("p100.5 < 1s", 0, "a percentile is more than 0", ""),
        ("p95 = 5ms", 4, "expected a comparison", 'did you mean "=="?'),
        ("p95 5ms", 4, "expected a comparison", ""),
        ("p95 < 5", 6, "p95 is a duration", ""),
        ("p95 < 5parsec", 6, "is no duration", ""),
        ("5 > 3", 0, "one side must measure something", ""),
        ("p95 < p99", 0, "one side must measure something", ""),
        ("share(stauts=5) > 1%", 6, 'there is no filter "stauts"', 'did you mean "status"?'),
        ("share(status=5000) > 1%", 13, "a status is three digits", ""),
        ("share(status>500) > 1%", 12, 'expected "="', ""),
        ("share(status=) > 1%", 13, "expected a value for status", ""),
        ("share(status=500 > 1%", 17, 'expected "," or ")"', ""),
        ("share(truncated=yes) > 1%", 16, "truncated is true or false", ""),
        ("share(failure=refusd) > 1%", 14, "unknown failure", 'did you mean "refused"?'),
        ("share(status=200", 16, 'expected "," or ")"', "between { and } an expression with a comma needs quotes"),
        ("(p95 < 1s", 9, 'expected ")"', ""),
        ("p95 < 1s p99 < 1s", 9, 'expected "and", "or" or the end', ""),
        ("p95 < 1s and", 12, "expected something measured", ""),
        ("p95 < 1s && p99 < 2s", 9, "cannot be read from here", ""),
        ("__import__('os') > 1", 11, "cannot be read from here", ""),
    ],
)
def test_what_cannot_be_used_says_where_and_why(text: str, offset: int, said: str, hint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert caught.value.said.startswith(said) or said in caught.value.said
    assert (caught.value.offset, caught.value.hint) == (offset, hint)
    *_, shown, caret = caught.value.what.split("\n")
    assert caret.index("^") - 4 == offset
    assert shown == f"    {text}"


def test_nesting_and_length_are_bounded() -> None:
    with pytest.raises(ExpressionError, match="nested more than"):
        parse_expression("(" * 500 + "p95 < 1s")
    with pytest.raises(ExpressionError, match="nested more than"):
        parse_expression("not " * 400 + "p95 < 1s")
    with pytest.raises(ExpressionError, match="at most"):
        parse_expression("p95 < 1s and " * 1000)


_WORDS = st.from_regex(r"[a-zA-Z_/][a-zA-Z0-9_./*-]{0,8}", fullmatch=True) | st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='"'), min_size=1, max_size=6
)
_FILTERS = (
    st.builds(Filter, st.sampled_from(["path", "method", "decided_by", "error"]), _WORDS, st.booleans())
    | st.builds(Filter, st.just("status"), st.sampled_from(["502", "5xx", "none"]), st.booleans())
    | st.builds(Filter, st.just("truncated"), st.sampled_from(["true", "false"]), st.booleans())
)
_CONSTANTS = {
    "share": st.integers(0, 100).map(lambda n: (f"{n}%", n / 100)),
    "number": st.integers(0, 10**6).map(lambda n: (str(n), float(n))),
    "rate": st.integers(0, 10**4).map(lambda n: (f"{n}/s", float(n))),
    "duration": st.integers(0, 10**6).map(lambda n: (f"{n}s", float(n))),
}
_NAMES = [
    ("share", "share", None),
    ("count", "number", None),
    ("rate", "rate", None),
    ("mean", "duration", None),
    ("p99.9", "duration", 99.9),
    ("p5", "duration", 5.0),
]


@st.composite
def _comparisons(draw: st.DrawFn) -> Comparison:
    name, unit, rank = draw(st.sampled_from(_NAMES))
    measure = Measure(name, unit, rank, tuple(draw(st.lists(_FILTERS, max_size=3))))  # type: ignore[arg-type]  # from the table above
    text, value = draw(_CONSTANTS[unit])
    constant = Constant(value, unit, text)  # type: ignore[arg-type]  # likewise
    op = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
    sides = (measure, constant) if draw(st.booleans()) else (constant, measure)
    return Comparison(sides[0], op, sides[1])  # type: ignore[arg-type]  # likewise


_EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    _comparisons(),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


@given(_EXPRESSIONS)
def test_every_expression_survives_being_written_and_parsed(expression: Expression) -> None:
    assert parse_expression(str(expression)) == expression


@given(
    st.text(max_size=80)
    | st.lists(
        st.sampled_from(["p95", "share", "(", ")", "<", "=", "5%", "1s", "and", "or", "not", ",", " ", '"', *FILTERS]),
        max_size=20,
    ).map("".join)
)
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        expression = parse_expression(text)
    except InvalidInput:
        return
    assert parse_expression(str(expression)) == expression


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9641, "share", "96.41%"),
        (0.21234, "duration", "212ms"),
        (48.712, "rate", "48.71/s"),
        (12.0, "number", "12"),
        (0.0000123, "duration", "0.0123ms"),
    ],
)
def test_measured_values_are_shown_with_their_unit(value: float, unit: str, text: str) -> None:
    assert number_text(value, unit) == text  # type: ignore[arg-type]  # the literals above
