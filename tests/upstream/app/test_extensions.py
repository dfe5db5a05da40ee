"""What mandatory requests declare."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_upstream.app.extensions import (
    MOST,
    Declaration,
    Mandatory,
    NotExtendedError,
    extension_field,
    is_mandatory,
    mandatory,
    understood,
)

A, B = "http://shop.example/a", "http://shop.example/b"


def man(*values: str) -> list[tuple[str, str]]:
    return [("Man", value) for value in values]


@pytest.mark.parametrize(
    ("fields", "declared"),
    [
        (man(f'"{A}"'), (Declaration(A),)),
        (man(f'"{A}"; ns=16'), (Declaration(A, "16-"),)),
        (man(f' "{A}" ;other=x; ns = 99 ; flag , "{B}"'), (Declaration(A, "99-"), Declaration(B))),
        (man(f'"{A}";ns=16', f'"{B}";ns=17'), (Declaration(A, "16-"), Declaration(B, "17-"))),
        ([("mAN", f'"{A}"')], (Declaration(A),)),
        (man(f'"{A}"; ns=1'), (Declaration(A),)),
    ],
)
def test_declarations(fields: list[tuple[str, str]], declared: tuple[Declaration, ...]) -> None:
    assert mandatory("M-GET", fields) == Mandatory("GET", declared)


def test_declarations_for_one_hop() -> None:
    assert mandatory("M-PUT", [("C-Man", f'"{A}"')]) == Mandatory("PUT", (), (Declaration(A),))


@pytest.mark.parametrize(
    "fields",
    [[], [("Opt", f'"{A}"')], man(""), man(A), man('"'), man('"a b"'), man(f'"{A}" "{B}"'), man(f'"{A}",'),
     man(f'"{A}"; ns=16 x'), man(", ".join([f'"{A}"'] * (MOST + 1))), man('"' + "x" * 600 + '"')],
)  # fmt: skip
def test_what_declares_nothing_is_not_extended(fields: list[tuple[str, str]]) -> None:
    with pytest.raises(NotExtendedError):
        mandatory("M-GET", fields)


def test_all_that_is_declared_must_be_known() -> None:
    both = mandatory("M-GET", man(f'"{A}", "{B}"'))
    understood(both, (A, B))
    with pytest.raises(NotExtendedError, match=B):
        understood(both, (A,))
    with pytest.raises(NotExtendedError, match=A):
        understood(mandatory("M-GET", [*man(f'"{B}"'), ("C-Man", f'"{A}"')]), (A, B))


def test_the_fields_of_an_extension() -> None:
    fields = [*man(f'"{A}"; ns=16, "{B}"; ns=17'), ("16-VERSION", "1"), ("17-Version", "2"), ("Version", "3")]
    request = mandatory("M-GET", fields)
    assert extension_field(request, A, "Version", fields) == "1"
    assert extension_field(request, B, "Version", fields) == "2"
    assert extension_field(request, B, "Other", fields) is None
    assert extension_field(mandatory("M-GET", man(f'"{A}"')), A, "Version", fields) is None


@pytest.mark.parametrize(
    ("method", "expected"), [("M-GET", True), ("M-SEARCH", True), ("MOVE", False), ("m-get", False)]
)
def test_which_methods_say_so(method: str, expected: bool) -> None:
    assert is_mandatory(method) is expected


@given(st.text(max_size=60))
def test_anything_is_read_or_refused(value: str) -> None:
    try:
        found = mandatory("M-GET", man(value))
    except NotExtendedError:
        return
    assert found.declared
