"""Resources and bindings."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from badgateway_upstream.app.dav import tree as trees
from badgateway_upstream.app.dav.tree import SCHEMA, NoRoomError, Resource, Tree, clear

QUOTA = 1000


@pytest.fixture
def tree() -> Iterator[Tree]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        yield Tree(db)


def at(tree: Tree, *segments: str) -> Resource:
    found = tree.at(segments)
    assert found is not None
    return found


def test_a_file(tree: Tree) -> None:
    root = at(tree)
    assert root.collection
    assert tree.write(root, "a", b"12345", "text/plain", QUOTA, 1.5)
    first = at(tree, "a")
    assert (first.collection, first.length, first.content_type, first.modified) == (False, 5, "text/plain", 1.5)
    assert tree.content(first) == b"12345"
    assert not tree.write(root, "a", b"", "text/html", QUOTA, 2.5)
    second = at(tree, "a")
    assert (second.id, second.uuid, second.length) == (first.id, first.uuid, 0)
    assert second.etag != first.etag
    tree.unbind(root, "a")
    assert tree.at(("a",)) is None
    assert tree.members(root) == []


def test_the_quota_counts_what_is_replaced(tree: Tree) -> None:
    root = at(tree)
    tree.write(root, "a", b"x" * 600, "", QUOTA, 0)
    with pytest.raises(NoRoomError) as error:
        tree.write(root, "b", b"x" * 401, "", QUOTA, 0)
    assert error.value.condition == "quota-not-exceeded"
    assert tree.at(("b",)) is None
    tree.write(root, "b", b"x" * 400, "", QUOTA, 0)
    assert tree.used() == 1000
    tree.write(root, "a", b"x" * 600, "", QUOTA, 0)
    with pytest.raises(NoRoomError):
        tree.write(root, "a", b"x" * 601, "", QUOTA, 0)
    tree.unbind(root, "a")
    assert tree.used() == 400


def test_two_names_for_one_file(tree: Tree) -> None:
    root = at(tree)
    tree.add_collection(root, "c", 0)
    tree.write(root, "a", b"1", "", QUOTA, 0)
    assert tree.bind(at(tree, "c"), "b", at(tree, "a"))
    assert at(tree, "c", "b").id == at(tree, "a").id
    assert sorted(tree.parents(at(tree, "a"))) == sorted([(root.id, "a"), (at(tree, "c").id, "b")])
    tree.unbind(root, "a")
    assert tree.content(at(tree, "c", "b")) == b"1"
    tree.unbind(root, "c")
    assert tree.used() == 0


def test_a_binding_in_the_place_of_another_takes_what_only_that_held(tree: Tree) -> None:
    root = at(tree)
    tree.write(root, "a", b"1", "", QUOTA, 0)
    tree.write(root, "b", b"22", "", QUOTA, 0)
    assert not tree.bind(root, "b", at(tree, "a"))
    assert tree.used() == 1


def test_a_loop_that_nothing_leads_to_is_forgotten(tree: Tree) -> None:
    root = at(tree)
    tree.add_collection(root, "a", 0)
    tree.add_collection(at(tree, "a"), "b", 0)
    tree.write(at(tree, "a", "b"), "file", b"123", "", QUOTA, 0)
    assert not tree.leads_to(at(tree, "a", "b"), at(tree, "a"))
    tree.bind(at(tree, "a", "b"), "up", at(tree, "a"))
    assert tree.leads_to(at(tree, "a", "b"), at(tree, "a"))
    assert at(tree, "a", "b", "up", "b", "up").id == at(tree, "a").id
    tree.unbind(root, "a")
    assert tree.used() == 0


def test_there_is_an_end_to_resources_and_bindings(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_RESOURCES", 3)
    monkeypatch.setattr(trees, "MOST_BINDINGS", 4)
    root = at(tree)
    tree.add_collection(root, "a", 0)
    tree.add_collection(root, "b", 0)
    with pytest.raises(NoRoomError) as error:
        tree.add_collection(root, "c", 0)
    assert error.value.condition == "sufficient-disk-space"
    tree.bind(root, "c", at(tree, "a"))
    tree.bind(root, "d", at(tree, "a"))
    with pytest.raises(NoRoomError):
        tree.bind(root, "e", at(tree, "a"))


def test_nothing_but_another_root_is_left(tree: Tree) -> None:
    root = at(tree)
    tree.add_collection(root, "a", 0)
    clear(tree._db)
    assert tree.members(at(tree)) == []
    assert at(tree).uuid != root.uuid


class Graph(RuleBasedStateMachine):
    """The tree against a model of dictionaries: what can be reached is there, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.db = sqlite3.connect(":memory:")
        self.db.executescript(SCHEMA)
        self.tree = Tree(self.db)
        self.model: dict[int, dict[str, int]] = {1: {}}

    def teardown(self) -> None:
        self.db.close()

    def collection(self, path: list[str]) -> Resource:
        """The collection as far down the path as there is one."""
        found = at(self.tree)
        for name in path:
            following = dict(self.tree.members(found)).get(name)
            if following is None:
                break
            found = following
        return found

    names = st.sampled_from("abc")
    paths = st.lists(names, max_size=4)

    @rule(path=paths, name=names)
    def add(self, path: list[str], name: str) -> None:
        parent = self.collection(path)
        if name not in self.model[parent.id]:
            self.tree.add_collection(parent, name, 0)
            added = dict(self.tree.members(parent))[name].id
            self.model[parent.id][name] = added
            self.model[added] = {}

    @rule(path=paths, name=names, to=paths)
    def bind(self, path: list[str], name: str, to: list[str]) -> None:
        parent, target = self.collection(path), self.collection(to)
        assert self.tree.bind(parent, name, target) == (name not in self.model[parent.id])
        self.model[parent.id][name] = target.id
        self.sweep()

    @rule(path=paths, name=names)
    def unbind(self, path: list[str], name: str) -> None:
        parent = self.collection(path)
        self.tree.unbind(parent, name)
        self.model[parent.id].pop(name, None)
        self.sweep()

    def sweep(self) -> None:
        reached, todo = {1}, [1]
        while todo:
            for below in self.model[todo.pop()].values():
                if below not in reached:
                    reached.add(below)
                    todo.append(below)
        self.model = {number: names for number, names in self.model.items() if number in reached}

    @invariant()
    def agrees(self) -> None:
        assert {row[0] for row in self.db.execute("SELECT id FROM dav_resources")} == set(self.model)
        bindings = {(c, s, r) for c, names in self.model.items() for s, r in names.items()}
        assert set(self.db.execute("SELECT * FROM dav_bindings")) == bindings


Graph.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestGraph = Graph.TestCase
