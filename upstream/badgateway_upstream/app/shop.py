"""The healthy app: a small shop with pages, JSON resources, orders, and two resources for measuring."""

from __future__ import annotations

import html
import json
import logging
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeGuard

from badgateway_upstream.app.answers import Answer, head, without
from badgateway_upstream.app.dav.methods import METHODS, Dav
from badgateway_upstream.app.dav.paths import mounted
from badgateway_upstream.app.dav.settings import DavSettings
from badgateway_upstream.app.environment import receipt
from badgateway_upstream.app.extensions import NotExtendedError, is_mandatory, mandatory, understood
from badgateway_upstream.app.handling import Equipment, GaveUpError
from badgateway_upstream.app.pricelist import TERMS, admitted
from badgateway_upstream.app.report import sales_report
from badgateway_upstream.app.storage import Storage
from badgateway_upstream.app.store import Store, as_json
from badgateway_upstream.service import Strike
from badgateway_upstream.wire.requests import BodyTooLargeError, Request

_LOG: Final = logging.getLogger("badgateway_upstream.app.shop")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_JSON: Final = "application/json"
_NO_FILES: Final = DavSettings(enabled=False)
_PIECE: Final = bytes(range(256)) * 256
MOST_BYTES: Final = 1 << 36
"""The largest n of /bytes/n: 64 GiB, streamed."""

_Made = Answer | Awaitable[Answer]
_Route = Callable[[Request, str], _Made]


class Shop:
    """Answers requests. What can be answered without waiting is; an Awaitable is returned for the rest.

    ``environment_shown``: in debug mode, what an error page shows beside the stack trace; None: no debug mode.
    ``terms_required``: whether the price list is for clients only that declare that they know the terms of use.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        storage: Storage,
        equipment: Equipment,
        environment_shown: Mapping[str, str] | None = None,
        dav: DavSettings = _NO_FILES,
        *,
        terms_required: bool = False,
    ) -> None:
        self._name = name
        self._store = store
        self._storage = storage
        self._workers = equipment.workers
        self._environment_shown = environment_shown
        self._terms_required = terms_required
        self._extra = f"X-Instance: {name}\r\n"
        self._fixed: dict[str, Mapping[str, _Route]] = {
            "/": {"GET": self._home},
            "/health": {"GET": self._health},
            "/products": {"GET": self._products},
            "/price-list": {"GET": self._price_list, "M-GET": self._price_list},
            "/orders": {"POST": self._new_order},
            "/report": {"GET": self._report},
        }
        self._numbered: dict[str, Mapping[str, _Route]] = {
            "products": {"GET": self._product},
            "orders": {"GET": self._order},
            "bytes": {"GET": self._bytes},
        }
        routes = (*self._fixed.values(), *self._numbered.values())
        self._dav = Dav(store, storage, dav, self._made, self.problem) if dav.enabled else None
        self._implemented = {"HEAD", "OPTIONS"}.union(*routes, METHODS if dav.enabled else ())

    def answer(self, request: Request, strike: Strike | None = None) -> _Made:
        """Return the answer to ``request``. ``strike`` is called in the handler; what it raises is a 500."""
        try:
            made = self._route(request, strike)
        except NotExtendedError as error:
            return self.problem(request, 510, str(error))
        except Exception:  # noqa: BLE001 - the outermost handler of an app: it logs whatever broke and answers 500
            return self._broken(request)
        return made if isinstance(made, Answer) else self._guarded(made, request)

    async def _guarded(self, made: Awaitable[Answer], request: Request) -> Answer:
        try:
            return await made
        except BodyTooLargeError:
            return self.problem(request, 413, "the body is larger than 1 MiB")
        except NotExtendedError as error:
            return self.problem(request, 510, str(error))
        except GaveUpError as error:
            request_id = request.header("x-request-id")
            _LOG.warning("%s %s: %s", request.method, request.path, error, extra={"request_id": request_id})
            return self.problem(request, error.status, str(error))
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - see answer()
            return self._broken(request)

    def _broken(self, request: Request) -> Answer:
        request_id = request.header("x-request-id")
        _LOG.exception("unhandled exception in %s %s", request.method, request.path, extra={"request_id": request_id})
        if self._environment_shown is None:
            return self.problem(request, 500, "internal server error")
        leaked = {"traceback": traceback.format_exc(), "environment": dict(self._environment_shown)}
        return self.problem(request, 500, "internal server error", leaked=leaked)

    def problem(
        self, request: Request, status: int, what: str, extra: str = "", *, leaked: Mapping[str, Any] | None = None
    ) -> Answer:
        """Return an error as JSON; it holds the request's id, so that the log can be searched for it."""
        body: dict[str, Any] = {"error": what, **(leaked or {})}
        request_id = request.header("x-request-id")
        if request_id is not None:
            body["request_id"] = request_id
        return self._made(request, status, as_json(body), _JSON, extra)

    async def _after(self, waiting: Awaitable[None], request: Request) -> Answer:
        await waiting
        made = self._route(request, None)
        return made if isinstance(made, Answer) else await made

    def _route(self, request: Request, strike: Strike | None) -> _Made:
        path = request.path
        if path == "/echo":
            methods: Mapping[str, _Route] = {request.method: self._echo}
            argument = ""
        elif (fixed := self._fixed.get(path)) is not None:
            methods, argument = fixed, ""
        else:
            _, _, rest = path.partition("/")
            collection, _, argument = rest.partition("/")
            numbered = self._numbered.get(collection)
            methods = numbered if numbered is not None and _NUMBER.fullmatch(argument) else {}
        if strike is not None and (waiting := strike()) is not None:
            return self._after(waiting, request)
        if request.method not in methods and (refused := self._unknown(request, methods)) is not None:
            return refused
        if self._dav is not None and mounted(path):
            return self._dav.answer(request)
        if request.method == "OPTIONS" and path == "*":
            return self._options(request, sorted(self._implemented))
        if not methods:
            return self.problem(request, 404, f"there is nothing at {path[:200]}")
        handler = methods.get("GET" if request.method == "HEAD" and "GET" in methods else request.method)
        return handler(request, argument) if handler is not None else self._no_handler(request, methods)

    def _unknown(self, request: Request, methods: Iterable[str]) -> Answer | None:
        if is_mandatory(request.method):
            understood(mandatory(request.method, request.headers), (TERMS,) if "M-GET" in methods else ())
            return self._no_handler(request, methods)
        if request.method not in self._implemented:
            return self.problem(request, 501, f"{request.method} is not implemented here, for any resource")
        return None

    def _no_handler(self, request: Request, methods: Iterable[str]) -> Answer:
        allowed = [*methods, "HEAD"] if "GET" in methods else [*methods]
        if request.method == "OPTIONS":
            return self._options(request, allowed)
        what = f"{request.method} is not allowed at {request.path[:200]}"
        return self.problem(request, 405, what, f"Allow: {', '.join(allowed)}\r\n")

    def _options(self, request: Request, methods: Iterable[str]) -> Answer:
        made = self._made(request, 204, b"", _JSON, f"Allow: {', '.join(methods)}\r\n")
        return without(made, b"content-length", b"content-type")

    def _made(
        self, request: Request, status: int, body: bytes, content_type: str, extra: str = "", *, length: int = -1
    ) -> Answer:
        lines = extra + self._extra
        if not request.keep_alive:
            lines += "Connection: close\r\n"
        elif request.version == "1.0":
            lines += "Connection: keep-alive\r\n"
        top = head(status, len(body) if length < 0 else length, content_type, lines)
        if request.method == "HEAD":
            body = b""
        return Answer(status, top, body, len(body), request.keep_alive)

    def _home(self, request: Request, argument: str) -> Answer:
        del argument
        rows = "".join(
            f'<li><a href="/products/{product["id"]}">{html.escape(product["name"])}</a>'
            f" € {product['price_cents'] / 100:.2f}</li>\n"
            for product in self._store.products()
        )
        page = (
            '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>The shop</title>\n'
            f"<h1>The shop</h1>\n<ul>\n{rows}</ul>\n<p>served by {html.escape(self._name)}</p></html>\n"
        )
        return self._made(request, 200, page.encode(), "text/html; charset=utf-8")

    def _health(self, request: Request, argument: str) -> Answer:
        del argument
        self._store.product(1)
        return self._made(request, 200, as_json({"status": "ok", "instance": self._name}), _JSON)

    def _products(self, request: Request, argument: str) -> Answer:
        del argument
        return self._made(request, 200, as_json({"products": self._store.products()}), _JSON)

    def _price_list(self, request: Request, argument: str) -> Answer:
        del argument
        fulfilled = admitted(request, required=self._terms_required)
        lines = "".join(f"{product['name']};{product['price_cents']}\r\n" for product in self._store.products())
        return self._made(request, 200, lines.encode(), "text/csv; charset=utf-8", fulfilled)

    def _product(self, request: Request, argument: str) -> Answer:
        product = self._store.product(int(argument))
        if product is None:
            return self.problem(request, 404, f"there is no product {argument}")
        return self._made(request, 200, as_json(product), _JSON)

    def _order(self, request: Request, argument: str) -> Answer:
        order = self._store.order(int(argument))
        if order is None:
            return self.problem(request, 404, f"there is no order {argument}")
        return self._made(request, 200, as_json(order), _JSON)

    async def _new_order(self, request: Request, argument: str) -> Answer:
        del argument
        try:
            wanted = json.loads(await request.body.whole())
        except (ValueError, RecursionError):
            return self.problem(request, 400, "the body must be JSON")
        product_id = wanted.get("product_id") if isinstance(wanted, dict) else None
        quantity = wanted.get("quantity", 1) if isinstance(wanted, dict) else None
        if not _whole(product_id, 1 << 62) or not _whole(quantity, 1000):
            what = 'the body must be like {"product_id": 1, "quantity": 2}, with a quantity from 1 to 1000'
            return self.problem(request, 400, what)
        if self._store.product(product_id) is None:
            return self.problem(request, 400, f"there is no product {product_id}")

        number = await self._store.add_order(
            product_id, quantity, lambda number: self._storage.spool(receipt(number, product_id, quantity))
        )
        body = as_json({"id": number, "product_id": product_id, "quantity": quantity})
        return self._made(request, 201, body, _JSON, f"Location: /orders/{number}\r\n")

    async def _report(self, request: Request, argument: str) -> Answer:
        del argument
        report = await self._workers.run(partial(sales_report, self._store, self._storage))
        return self._made(request, 200, report, "text/csv; charset=utf-8")

    async def _echo(self, request: Request, argument: str) -> Answer:
        del argument
        await request.body.until(None)
        seen = {
            "method": request.method,
            "target": request.target,
            "version": request.version,
            "headers": request.headers,
            "body_bytes": request.body.received,
            "instance": self._name,
        }
        return self._made(request, 200, as_json(seen), _JSON)

    def _bytes(self, request: Request, argument: str) -> Answer:
        count = int(argument)
        if count > MOST_BYTES:
            return self.problem(request, 404, f"at most {MOST_BYTES} bytes can be had here")
        made = self._made(request, 200, b"", "application/octet-stream", length=count)
        if request.method == "HEAD":
            return made
        if count <= len(_PIECE):
            return Answer(200, made.head, _PIECE[:count], count, made.reusable)
        return Answer(200, made.head, _stream(count), count, made.reusable)


async def _stream(count: int) -> AsyncIterator[bytes]:
    whole, rest = divmod(count, len(_PIECE))
    for _ in range(whole):
        yield _PIECE
    if rest:
        yield _PIECE[:rest]


def _whole(value: object, most: int) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= most
