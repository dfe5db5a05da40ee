"""The files of the shop, over sockets."""

from __future__ import annotations

import errno
import re
import sqlite3
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, NoReturn

import pytest

from badgateway_upstream.app.dav.uploads import LARGEST_FILE
from badgateway_upstream.app.storage import Storage
from badgateway_upstream.app.store import Store
from tests.support.instance import HereInstance, here
from tests.support.processes import until

LOOPS = {"allow_cycles": True}


class Said:
    """An answer."""

    def __init__(self, data: bytes) -> None:
        top, _, self.body = data.partition(b"\r\n\r\n")
        self.head = top.decode()
        self.status = int(self.head.split()[1])

    def condition(self) -> str:
        """The precondition that did not hold."""
        return ET.fromstring(self.body)[0].tag.removeprefix("{DAV:}")

    def responses(self) -> dict[str, dict[str, tuple[str, str]]]:
        """By href: properties with their status and text."""
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for response in ET.fromstring(self.body):
            properties = found.setdefault(response.findtext("{DAV:}href", ""), {})
            for stat in response.findall("{DAV:}propstat"):
                status = stat.findtext("{DAV:}status", "").split()[1]
                for prop in stat.findall("{DAV:}prop/*"):
                    text = "".join(prop.itertext()) or "".join(child.tag for child in prop)
                    properties[prop.tag.removeprefix("{DAV:}")] = (status, text)
        return found


async def ask(app: HereInstance, method: str, path: str, body: bytes | None = None, *headers: str) -> Said:
    async with app.client() as client:
        lines = [f"{method} {path} HTTP/1.1", "Host: shop.example", "Connection: close", *headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        await client.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        return Said(await client.all())


def bind(segment: str, href: str) -> bytes:
    return f'<bind xmlns="DAV:"><segment>{segment}</segment><href>{href}</href></bind>'.encode()


def unbind(segment: str) -> bytes:
    return f'<unbind xmlns="DAV:"><segment>{segment}</segment></unbind>'.encode()


def prop(*names: str) -> bytes:
    return f'<propfind xmlns="DAV:"><prop>{"".join(f"<{name}/>" for name in names)}</prop></propfind>'.encode()


async def test_the_life_of_a_file() -> None:
    async with here() as app:
        assert (await ask(app, "MKCOL", "/dav/a/")).status == 201
        created = await ask(app, "PUT", "/dav/a/x.txt", b"one", "Content-Type: text/plain")
        assert created.status == 201
        assert "Content-Length: 0" in created.head
        replaced = await ask(app, "PUT", "/dav/a/x.txt", b"three", "Content-Type: text/html")
        assert replaced.status == 204
        assert "Content-Length" not in replaced.head
        got = await ask(app, "GET", "/dav/a/x.txt")
        assert (got.status, got.body) == (200, b"three")
        assert "Content-Type: text/html" in got.head
        assert re.search(r'ETag: "[0-9a-f]+-[0-9a-f]+"\r\nLast-Modified: \w{3}, ', got.head)
        headed = await ask(app, "HEAD", "/dav/a/x.txt")
        assert headed.body == b""
        assert "Content-Length: 5" in headed.head
        assert b'<a href="/dav/a/x.txt">x.txt</a> 5 bytes' in (await ask(app, "GET", "/dav/a/")).body
        assert (await ask(app, "DELETE", "/dav/a/x.txt")).status == 204
        assert (await ask(app, "GET", "/dav/a/x.txt")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("GET", "/dav/nothing", None, (), 404),
        ("DELETE", "/dav/nothing", None, (), 404),
        ("DELETE", "/dav/", None, (), 403),
        ("PROPFIND", "/dav/nothing", None, (), 404),
        ("PROPFIND", "/dav/", None, ("Depth: 2",), 400),
        ("PROPFIND", "/dav/", b"<a>", (), 400),
        ("PROPFIND", "/dav/", b"x" * 70_000, (), 400),
        ("PROPFIND", "/dav/", b"x" * 1_100_000, (), 413),
        ("MKCOL", "/dav/c/", None, (), 405),
        ("MKCOL", "/dav/f", None, (), 405),
        ("MKCOL", "/dav/x/y/", None, (), 409),
        ("MKCOL", "/dav/f/y/", None, (), 409),
        ("MKCOL", "/dav/y/", b"<a/>", (), 415),
        ("PUT", "/dav/c", b"", (), 405),
        ("PUT", "/dav/new/", b"", (), 409),
        ("PUT", "/dav/x/y", b"", (), 409),
        ("PUT", "/dav/..", b"", (), 400),
        ("PUT", "/dav/big", b"x" * (LARGEST_FILE + 1), (), 413),
        ("PUT", "/dav/new", b"", ("Content-Type: " + "x" * 201,), 400),
        ("BIND", "/dav/f", bind("a", "/dav/c"), (), 409),
        ("BIND", "/dav/c", b"", (), 400),
        ("UNBIND", "/dav/f", unbind("a"), (), 409),
        ("POST", "/dav/f", b"", (), 405),
        ("LOCK", "/dav/f", None, (), 501),
        ("PROPPATCH", "/dav/f", b"", (), 501),
        ("MOVE", "/dav/f", None, ("Destination: /dav/g",), 501),
    ],
)
async def test_what_is_refused(
    method: str, path: str, body: bytes | None, headers: tuple[str, ...], status: int
) -> None:
    async with here() as app:
        await ask(app, "MKCOL", "/dav/c/")
        await ask(app, "PUT", "/dav/f", b"1")
        said = await ask(app, method, path, body, *headers)
        assert said.status == status
        assert ("Allow: " in said.head) == (status == 405)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "expected"),
    [
        ("BIND", "/dav/no/", bind("a", "/dav/c"), (), (409, "bind-into-collection")),
        ("BIND", "/dav/c", bind("a", "/dav/nothing"), (), (409, "bind-source-exists")),
        ("BIND", "/dav/c", bind("a", "/products/1"), (), (403, "binding-allowed")),
        ("BIND", "/dav/c", bind("a", "http://other.example/dav/f"), (), (403, "cross-server-binding")),
        ("BIND", "/dav/c", bind("a/b", "/dav/f"), (), (403, "name-allowed")),
        ("BIND", "/dav/", bind("f", "/dav/c"), ("Overwrite: F",), (412, "can-overwrite")),
        ("BIND", "/dav/c/d", bind("up", "/dav/c"), (), (403, "cycle-allowed")),
        ("BIND", "/dav/c", bind("self", "/dav/c"), (), (403, "cycle-allowed")),
        ("UNBIND", "/dav/no/", unbind("a"), (), (409, "unbind-from-collection")),
        ("UNBIND", "/dav/c", unbind("a"), (), (409, "unbind-source-exists")),
    ],
)
async def test_preconditions(
    method: str, path: str, body: bytes, headers: tuple[str, ...], expected: tuple[int, str]
) -> None:
    async with here() as app:
        for made in ("/dav/c/", "/dav/c/d/"):
            await ask(app, "MKCOL", made)
        await ask(app, "PUT", "/dav/f", b"1")
        said = await ask(app, method, path, body, *headers)
        assert (said.status, said.condition()) == expected


async def test_two_names_and_one_of_them_gone() -> None:
    async with here() as app:
        await ask(app, "MKCOL", "/dav/c/")
        await ask(app, "PUT", "/dav/f", b"1")
        bound = await ask(app, "BIND", "/dav/c/", bind("g", "http://shop.example/dav/f"))
        assert bound.status == 201
        assert "Location: /dav/c/g\r\n" in bound.head
        assert (await ask(app, "BIND", "/dav/c/", bind("g", "/dav/f"))).status == 200
        await ask(app, "PUT", "/dav/c/g", b"22")
        assert (await ask(app, "GET", "/dav/f")).body == b"22"
        assert (await ask(app, "UNBIND", "/dav/", unbind("f"))).status == 200
        assert (await ask(app, "GET", "/dav/f")).status == 404
        assert (await ask(app, "GET", "/dav/c/g")).body == b"22"


async def test_a_loop_is_a_508_or_a_208_and_unbind_opens_it() -> None:
    async with here(dav=LOOPS) as app:
        for path in ("/dav/a/", "/dav/a/b/"):
            await ask(app, "MKCOL", path)
        assert (await ask(app, "BIND", "/dav/a/b/", bind("up", "/dav/a/"))).status == 201
        refused = await ask(app, "PROPFIND", "/dav/", prop("resource-id"))
        assert refused.status == 508
        assert b"/dav/a/b/up/ is /dav/a/ again" in refused.body
        assert (await ask(app, "PROPFIND", "/dav/", None, "Depth: 1")).status == 207
        told = await ask(app, "PROPFIND", "/dav/", prop("resource-id"), "Depth: infinity", "DAV: 1, bind")
        assert told.status == 207
        found = told.responses()
        assert list(found) == ["/dav/", "/dav/a/", "/dav/a/b/", "/dav/a/b/up/"]
        assert [found[href]["resource-id"][0] for href in found] == ["200", "200", "200", "208"]
        assert found["/dav/a/"]["resource-id"][1] == found["/dav/a/b/up/"]["resource-id"][1]
        assert (await ask(app, "UNBIND", "/dav/a/b/", unbind("up"))).status == 200
        assert (await ask(app, "PROPFIND", "/dav/", prop("resource-id"))).status == 207


async def test_bindings_that_multiply_are_too_much_for_one_answer() -> None:
    async with here() as app:
        for number in range(12):
            path = "/dav/" + "a/" * number
            await ask(app, "MKCOL", path + "a/")
            await ask(app, "BIND", path, bind("b", path + "a/"))
        said = await ask(app, "PROPFIND", "/dav/")
        assert (said.status, said.condition()) == (403, "propfind-finite-depth")
        assert (await ask(app, "PROPFIND", "/dav/", None, "DAV: bind")).status == 207


async def test_many_properties_of_many_files_are_too_much_for_one_answer() -> None:
    async with here() as app:
        for number in range(30):
            await ask(app, "PUT", f"/dav/{number}", b"")
        names = "".join(f"<x:a{number}/>" for number in range(90))
        wanted = f'<propfind xmlns="DAV:" xmlns:x="{"x" * 6000}"><prop>{names}</prop></propfind>'.encode()
        said = await ask(app, "PROPFIND", "/dav/", wanted, "Depth: 1")
        assert (said.status, said.condition()) == (403, "propfind-finite-depth")
        assert (await ask(app, "PROPFIND", "/dav/", wanted, "Depth: 0")).status == 207


async def test_properties() -> None:
    async with here(dav={"quota": 1000}) as app:
        await ask(app, "MKCOL", "/dav/a%20b/")
        await ask(app, "PUT", "/dav/a%20b/f", b"12345", "Content-Type: text/plain")
        all_ = (await ask(app, "PROPFIND", "/dav/")).responses()
        assert list(all_) == ["/dav/", "/dav/a%20b/", "/dav/a%20b/f"]
        assert all_["/dav/a%20b/"]["resourcetype"] == ("200", "{DAV:}collection")
        assert all_["/dav/a%20b/f"]["getcontentlength"] == ("200", "5")
        assert all_["/dav/a%20b/f"]["getcontenttype"] == ("200", "text/plain")
        assert "quota-used-bytes" not in all_["/dav/"]
        wanted = prop("quota-available-bytes", "quota-used-bytes", "parent-set", "displayname")
        some = (await ask(app, "PROPFIND", "/dav/a%20b/", wanted, "Depth: 1")).responses()
        assert some["/dav/a%20b/"] == {
            "quota-available-bytes": ("200", "995"),
            "quota-used-bytes": ("200", "5"),
            "parent-set": ("200", "/dav/a b"),
            "displayname": ("404", ""),
        }
        assert some["/dav/a%20b/f"]["quota-used-bytes"] == ("404", "")
        assert some["/dav/a%20b/f"]["parent-set"] == ("200", "/dav/a%20b/f")
        names = b'<propfind xmlns="DAV:"><propname/></propfind>'
        named = (await ask(app, "PROPFIND", "/dav/a%20b/f", names, "Depth: 0")).responses()
        assert named["/dav/a%20b/f"]["getetag"] == ("200", "")
        assert named["/dav/a%20b/f"]["resource-id"] == ("200", "")


async def test_options() -> None:
    async with here() as app:
        await ask(app, "PUT", "/dav/f", b"1")
        for path, allowed in (("/dav/", "BIND, UNBIND"), ("/dav/f", "PUT, DELETE"), ("/dav/new", "PUT, MKCOL")):
            said = await ask(app, "OPTIONS", path)
            assert said.status == 200
            assert "DAV: bind\r\n" in said.head
            assert allowed in said.head


async def test_without_webdav_its_methods_are_not_implemented() -> None:
    async with here(dav={"enabled": False}) as app:
        assert (await ask(app, "PROPFIND", "/dav/")).status == 501
        assert (await ask(app, "GET", "/dav/")).status == 404


async def test_beyond_the_quota_nothing_is_stored() -> None:
    async with here(dav={"quota": 1000}) as app:
        assert (await ask(app, "PUT", "/dav/a", b"x" * 600)).status == 201
        refused = await ask(app, "PUT", "/dav/b", b"x" * 401)
        assert (refused.status, refused.condition()) == (507, "quota-not-exceeded")
        assert (await ask(app, "GET", "/dav/b")).status == 404
        assert (await ask(app, "PUT", "/dav/a", b"y" * 1001)).status == 507
        assert (await ask(app, "GET", "/dav/a")).body == b"x" * 600
        assert (await ask(app, "PUT", "/dav/a", b"y" * 1000)).status == 204
        await ask(app, "DELETE", "/dav/a")
        assert (await ask(app, "PUT", "/dav/b", b"x" * 401)).status == 201


async def test_an_upload_that_is_too_large_is_given_up_before_it_is_sent() -> None:
    async with here(dav={"quota": 1000}) as app, app.client() as client:
        await client.send(b"PUT /dav/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 507 ")


async def test_an_upload_without_a_length_is_given_up_when_it_is_too_large() -> None:
    async with here(dav={"quota": 1000}) as app, app.client() as client:
        await client.send(b"PUT /dav/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n")
        await client.send(b"x" * 0x400)
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 507 ")


async def test_two_uploads_at_once_do_not_both_get_the_last_room() -> None:
    async with here(dav={"quota": 1000}) as app, app.client() as one, app.client() as two:
        for client, name in ((one, b"a"), (two, b"b")):
            await client.send(b"PUT /dav/%b HTTP/1.1\r\nHost: a\r\nContent-Length: 600\r\n\r\n" % name + b"x" * 599)
        await until(lambda: app.instance.state()["busy"] == 2)
        await one.send(b"x")
        await two.send(b"x")
        heads = [await client.until(b"\r\n\r\n") for client in (one, two)]
        assert sorted(int(head.split()[1]) for head in heads) == [201, 507]


async def test_a_client_that_leaves_stores_nothing() -> None:
    async with here() as app:
        async with app.client() as client:
            await client.send(b"PUT /dav/a HTTP/1.1\r\nHost: a\r\nX-Request-ID: left\r\nContent-Length: 9\r\n\r\n1234")
            await until(lambda: app.instance.state()["busy"] == 1)
        await until(lambda: app.instance.state()["open"] == 0)
        assert (await ask(app, "GET", "/dav/a")).status == 404


async def test_a_full_disk_is_a_507(monkeypatch: pytest.MonkeyPatch) -> None:
    async with here() as app:
        await ask(app, "PUT", "/dav/a", b"old")
        storage: Storage = app.instance._storage
        storage.fill(namespaces=False)
        refused = await ask(app, "PUT", "/dav/a", b"newer")
        assert (refused.status, refused.condition()) == (507, "sufficient-disk-space")
        assert (await ask(app, "GET", "/dav/a")).body == b"old"
        storage.empty()
        assert (await ask(app, "PUT", "/dav/a", b"newer")).status == 204

        def out_of_files() -> NoReturn:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(storage, "scratch", out_of_files)
        assert (await ask(app, "PUT", "/dav/a", b"1")).status == 500


async def test_a_full_database_is_a_507() -> None:
    async with here() as app:
        store = app.instance._store
        assert isinstance(store, Store)
        await ask(app, "PUT", "/dav/a", b"old")
        pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count = {pages}")
        refused = await ask(app, "PUT", "/dav/b", b"x" * 100_000)
        assert (refused.status, refused.condition()) == (507, "sufficient-disk-space")
        assert (await ask(app, "GET", "/dav/b")).status == 404
        store._writer.execute("DROP TABLE dav_bindings")
        assert (await ask(app, "PUT", "/dav/a", b"x")).status == 500


async def test_instances_share_the_files(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.sqlite3")
    settings: dict[str, Any] = {"database": path, "dav": LOOPS}
    async with here(**settings) as one, here(name="app-2", **settings) as two:
        await ask(one, "MKCOL", "/dav/a/")
        assert (await ask(two, "PUT", "/dav/a/f", b"1")).status == 201
        assert (await ask(one, "GET", "/dav/a/f")).body == b"1"
        assert (await ask(one, "BIND", "/dav/a/", bind("a", "/dav/a/"))).status == 201
        assert (await ask(two, "PROPFIND", "/dav/a/")).status == 508
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM dav_resources").fetchone()[0] == 3
    db.close()
