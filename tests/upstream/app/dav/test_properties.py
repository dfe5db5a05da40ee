"""Live properties."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from badgateway_upstream.app.dav.documents import Name, Wanted
from badgateway_upstream.app.dav.properties import Context, hrefs_of, response_for
from badgateway_upstream.app.dav.tree import SCHEMA, Resource, Tree
from badgateway_upstream.app.dav.walking import Met

FILE = Resource(2, "u-2", False, "a/b<c>", 5, 0.0)
COLLECTION = Resource(3, "u-3", True, "", 0, 86400.0)


@pytest.fixture
def context() -> Iterator[Context]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        db.execute("INSERT INTO dav_bindings VALUES (1, 'a&b', 3), (3, 'again', 3), (77, 'elsewhere', 3)")
        yield Context(Tree(db), 100, 130, {1: "/dav/", 3: "/dav/a&b/"})


def dav(*names: str) -> tuple[Name, ...]:
    return tuple(("DAV:", name) for name in names)


@pytest.mark.parametrize(
    ("resource", "name", "value"),
    [
        (FILE, "getcontentlength", "5"),
        (FILE, "getcontenttype", "a/b&lt;c&gt;"),
        (FILE, "getetag", '"2-0"'),
        (FILE, "resourcetype", ""),
        (FILE, "resource-id", "<D:href>urn:uuid:u-2</D:href>"),
        (COLLECTION, "getlastmodified", "Fri, 02 Jan 1970 00:00:00 GMT"),
        (COLLECTION, "resourcetype", "<D:collection/>"),
        (COLLECTION, "quota-used-bytes", "130"),
        (COLLECTION, "quota-available-bytes", "0"),
        (
            COLLECTION,
            "parent-set",
            "<D:parent><D:href>/dav/</D:href><D:segment>a&amp;b</D:segment></D:parent>"
            "<D:parent><D:href>/dav/a&amp;b/</D:href><D:segment>again</D:segment></D:parent>",
        ),
    ],
)
def test_a_value(context: Context, resource: Resource, name: str, value: str) -> None:
    response = response_for(Met(("x",), resource), Wanted("prop", dav(name)), context)
    assert [(some.status, some.values) for some in response.properties] == [(200, ((("DAV:", name), value),))]


@pytest.mark.parametrize(
    ("resource", "name"),
    [(COLLECTION, "getcontentlength"), (COLLECTION, "getetag"), (FILE, "quota-used-bytes"), (FILE, "lockdiscovery")],
)
def test_what_a_resource_does_not_have(context: Context, resource: Resource, name: str) -> None:
    wanted = Wanted("prop", (*dav(name), ("urn:x", "resourcetype")))
    (missing,) = response_for(Met(("x",), resource), wanted, context).properties
    assert missing.status == 404
    assert [value for value, _ in missing.values] == [("DAV:", name), ("urn:x", "resourcetype")]


def test_all_are_those_that_cost_little(context: Context) -> None:
    (all_,) = response_for(Met((), COLLECTION), Wanted("allprop", dav("resource-id")), context).properties
    names = [name for (_, name), _ in all_.values]
    assert names == ["resourcetype", "getlastmodified", "resource-id"]
    (names_only,) = response_for(Met((), COLLECTION), Wanted("propname"), context).properties
    assert {value for _, value in names_only.values} == {""}
    assert "quota-used-bytes" in [name for (_, name), _ in names_only.values]


def test_what_was_told_already_says_so(context: Context) -> None:
    wanted = Wanted("prop", dav("resource-id", "getetag"))
    found, missing = response_for(Met(("a b",), COLLECTION, already=True), wanted, context).properties
    assert (found.status, missing.status) == (208, 404)
    assert response_for(Met(("a b",), COLLECTION), wanted, context).href == "/dav/a%20b/"


def test_a_way_to_each_collection_is_the_first_that_was_met() -> None:
    met = [Met(("a",), COLLECTION), Met(("a", "x"), FILE), Met(("a", "again"), COLLECTION, already=True)]
    root = Resource(1, "", True, "", 0, 0)
    assert hrefs_of(met, (root, ())) == {3: "/dav/a/", 1: "/dav/"}
    assert hrefs_of(met, None) == {3: "/dav/a/"}
