"""A type map among the files is a negotiable resource: it answers with one of its variants, or with their list."""

from __future__ import annotations

import html
from dataclasses import dataclass

from badgateway_upstream.app.dav.paths import Segments
from badgateway_upstream.app.dav.tree import Resource, Tree
from badgateway_upstream.app.negotiation import TYPE_MAP, VARY, Variant, alternates, choose, form, variants_of
from badgateway_upstream.wire.requests import Request


@dataclass(frozen=True, slots=True)
class Told:
    """What a negotiable resource answers. `headers` are lines that end in CRLF. `problem`: the body is no variant's."""

    status: int
    headers: str
    content: bytes = b""
    content_type: str = ""
    problem: str = ""


def negotiable(resource: Resource) -> bool:
    """Whether a resource is negotiated."""
    return resource.content_type.partition(";")[0].strip().lower() == TYPE_MAP


def negotiated(request: Request, tree: Tree, segments: Segments, type_map: Resource) -> Told:
    """Answer a GET or HEAD of a type map: choice, list or neither (RFC 2295 section 10). Raises TypeMapError."""
    variants = variants_of(tree.content(type_map).decode("utf-8", "replace"))
    about = f"Alternates: {alternates(variants)}\r\nVary: {VARY}\r\n"
    negotiate = request.header("negotiate")
    variant = choose(variants, request.header("accept"), request.header("accept-language"))
    if form(negotiate) == "list" or (variant is None and negotiate is not None):
        return Told(300, f"TCN: list\r\n{about}", _listing(variants), "text/html; charset=utf-8")
    if variant is None:
        return Told(406, about, problem="there is no variant that the request accepts")
    chosen = tree.at((*segments[:-1], variant.uri))
    if chosen is None or chosen.collection:
        return Told(404, about, problem=f"the variant {variant.uri} does not exist")
    if negotiable(chosen):
        what = f"the chosen variant {variant.uri} is negotiated itself, so that it is no end of the negotiation"
        return Told(506, about, problem=what)
    lines = f"TCN: choice\r\nContent-Location: {variant.uri}\r\n{about}"
    if variant.language:
        lines += f"Content-Language: {variant.language}\r\n"
    return Told(200, lines, tree.content(chosen), chosen.content_type)


def _listing(variants: tuple[Variant, ...]) -> bytes:
    rows = "".join(
        f'<li><a href="{html.escape(variant.uri)}">{html.escape(variant.uri)}</a>'
        f" {html.escape(variant.content_type)} {html.escape(variant.language)}</li>\n"
        for variant in variants
    )
    return f"<!doctype html>\n<title>Choose</title>\n<ul>\n{rows}</ul>\n".encode()
