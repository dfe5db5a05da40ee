"""Walks over graphs with and without loops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway_upstream.app.dav.tree import Resource
from badgateway_upstream.app.dav.walking import MOST_MEMBERS, LoopError, Met, TooMuchError, walk

Graph = dict[int, dict[str, int]]
"""Collections by id; what is no key is a file."""


def resource(graph: Graph, number: int) -> Resource:
    return Resource(number, "", number in graph, "", 0, 0)


def walked(graph: Graph, depth: int | None, *, knows_208: bool = False) -> list[Met]:
    def members(collection: Resource) -> list[tuple[str, Resource]]:
        return [(name, resource(graph, number)) for name, number in sorted(graph[collection.id].items())]

    return walk(resource(graph, 1), (), members, depth, knows_208=knows_208)


def paths(met: list[Met]) -> list[str]:
    return ["/".join(one.segments) + ("!" if one.already else "") for one in met]


TREE: Graph = {1: {"a": 2, "f": 10}, 2: {"b": 3, "g": 11}, 3: {"h": 12}}
DIAMOND: Graph = {1: {"a": 2, "b": 2, "f": 10, "g": 10}, 2: {"c": 3}, 3: {}}
LOOP: Graph = {1: {"a": 2}, 2: {"b": 3, "f": 10}, 3: {"up": 2}}
ITSELF: Graph = {1: {"a": 2}, 2: {"self": 2}}


@pytest.mark.parametrize(
    ("graph", "depth", "expected"),
    [
        (TREE, 0, [""]),
        (TREE, 1, ["", "a", "f"]),
        (TREE, 2, ["", "a", "a/b", "a/g", "f"]),
        (TREE, None, ["", "a", "a/b", "a/b/h", "a/g", "f"]),
        (DIAMOND, None, ["", "a", "a/c", "b", "b/c", "f", "g"]),
        (LOOP, 1, ["", "a"]),
        (ITSELF, 1, ["", "a"]),
    ],
)
def test_down_to_a_depth(graph: Graph, depth: int | None, expected: list[str]) -> None:
    assert paths(walked(graph, depth)) == expected


@pytest.mark.parametrize(
    ("graph", "binding", "to"),
    [(LOOP, ("a", "b", "up"), ("a",)), (ITSELF, ("a", "self"), ("a",)), ({1: {"x": 1}}, ("x",), ())],
)
def test_a_loop_has_no_end(graph: Graph, binding: tuple[str, ...], to: tuple[str, ...]) -> None:
    with pytest.raises(LoopError) as error:
        walked(graph, None)
    assert (error.value.segments, error.value.to) == (binding, to)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (LOOP, ["", "a", "a/b", "a/b/up!", "a/f"]),
        (ITSELF, ["", "a", "a/self!"]),
        (DIAMOND, ["", "a", "a/c", "b!", "f", "g"]),
        (TREE, ["", "a", "a/b", "a/b/h", "a/g", "f"]),
    ],
)
def test_who_knows_208_gets_each_collection_once(graph: Graph, expected: list[str]) -> None:
    assert paths(walked(graph, None, knows_208=True)) == expected


def test_a_file_has_nothing_below() -> None:
    assert paths(walk(resource({}, 9), ("f",), lambda _: [], None, knows_208=False)) == ["f"]


def test_bindings_that_multiply_end_at_a_limit() -> None:
    doubling: Graph = {n: {"a": n + 1, "b": n + 1} for n in range(1, 30)} | {30: {}}
    with pytest.raises(TooMuchError):
        walked(doubling, None)
    assert len(walked(doubling, None, knows_208=True)) < MOST_MEMBERS


def test_a_long_way_down_ends_at_a_limit() -> None:
    with pytest.raises(TooMuchError):
        walked({n: {"a": n + 1} for n in range(1, 900)} | {900: {}}, None)


@given(
    st.dictionaries(
        st.integers(1, 6), st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), max_size=3), min_size=1
    )
)
def test_any_graph_ends(graph: Graph) -> None:
    graph.setdefault(1, {})
    told = walked(graph, None, knows_208=True)
    entered = [met.resource.id for met in told if met.resource.collection and not met.already]
    assert len(entered) == len(set(entered))
    try:
        plain = walked(graph, None)
    except (LoopError, TooMuchError):
        assert any(met.already for met in told)
    else:
        assert {met.resource.id for met in plain} == {met.resource.id for met in told}
