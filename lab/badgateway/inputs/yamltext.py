"""YAML 1.2 text, read safely and with the position of every key and value.

Only the *events* come from ruamel.yaml (pure Python, so that its positions can be trusted). Values are
made here, by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema) and nothing else:
`on` and `yes` are text, `012` is twelve, `1:30` is text, `2025-01-01` is text. There are no tags, no merge
keys, no objects. A mapping with the same key twice is refused, every time it happens, with both positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from badgateway.inputs.problems import InvalidInput, Mark, Problem, Where, as_text

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 200_000  # aliases counted as often as they are used

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,400}")
_OCTAL = re.compile(r"0o[0-7]{1,400}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = frozenset((".nan", ".NaN", ".NAN"))

_ADVICE = {
    "mapping values are not allowed here": 'text that contains ": " needs quotes',
    "cannot start any token": "quote text that starts with @, `, % or a tab; indent with spaces",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML file: its value (dicts, lists, text, numbers, booleans, None) and where each part of it stands."""

    file: str
    value: object
    values: Mapping[Where, Mark] = field(repr=False)
    keys: Mapping[Where, Mark] = field(repr=False)
    texts: Mapping[Where, Mark] = field(repr=False)

    def mark(self, where: Where, *, key: bool = False) -> Mark:
        """Position of the value (or the key) at `where`, else of the nearest thing around it that exists."""
        if key and where in self.keys:
            return self.keys[where]
        while where and where not in self.values:
            where = where[:-1]
        return self.values.get(where, Mark(1, 1))

    def inside(self, where: Where, offset: int) -> Mark:
        """Position of the character `offset` of the one-line text at `where`, behind its quote if it has one."""
        start = self.texts.get(where)
        return Mark(start.line, start.col + offset) if start else self.mark(where)


def read_yaml(path: Path) -> Document:
    """Read one file of at most 1 MiB.

    Raises InvalidInput for a file that cannot be read, is too big, is not UTF-8, or is no YAML.
    """
    file = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput.one(f"cannot be read: {error.strerror or error}", file=file) from error
    if len(data) > MAX_BYTES:
        raise InvalidInput.one("is larger than 1 MiB", file=file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput.one("is not UTF-8 text", file=file, mark=Mark(line, 1)) from error
    return parse_yaml(text, file=file)


def parse_yaml(text: str, *, file: str = "<text>") -> Document:
    """Parse one YAML document. Raises InvalidInput with the position of what is wrong (all duplicate keys at once)."""
    if len(text) > MAX_BYTES:
        raise InvalidInput.one("is larger than 1 MiB", file=file)
    composer = _Composer(file)
    try:
        value = composer.compose(_events(text))
    except MarkedYAMLError as error:
        spot = error.problem_mark or error.context_mark
        mark = Mark(spot.line + 1, spot.column + 1) if spot else Mark(1, 1)
        said = str(error.problem or error.context or "cannot be parsed")
        hint = next((advice for words, advice in _ADVICE.items() if words in said), "")
        raise InvalidInput.one(f"is no valid YAML: {said}", file=file, mark=mark, hint=hint) from error
    except ReaderError as error:
        before = text[: error.position]
        mark = Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        said = f"is no valid YAML: the character U+{ord(text[error.position]):04X} is not allowed"
        raise InvalidInput.one(said, file=file, mark=mark) from error
    except (YAMLError, AssertionError, ValueError, IndexError, RecursionError) as error:
        # ruamel asserts on some malformed directives (`%YAML 1.3`) instead of raising its own error
        raise InvalidInput.one("is no valid YAML", file=file, mark=Mark(1, 1)) from error
    if composer.problems:
        raise InvalidInput(composer.problems)
    return Document(file, value, composer.values, composer.keys, composer.texts)


def _events(text: str) -> Iterator[events.Event]:
    yaml = YAML(typ="safe", pure=True)
    yield from yaml.parse(text)


@dataclass(slots=True)
class _Anchor:
    value: object
    nodes: int


class _Composer:
    """Turns events into plain values, keeping positions."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.values: dict[Where, Mark] = {}
        self.keys: dict[Where, Mark] = {}
        self.texts: dict[Where, Mark] = {}
        self.nodes = 0
        self.anchors: dict[str, _Anchor | None] = {}
        self._stream: Iterator[events.Event] = iter(())

    def compose(self, stream: Iterator[events.Event]) -> object:
        self._stream = stream
        value: object = None
        documents = 0
        for event in stream:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refusal(event, "a second document starts here; one file holds one")
            elif not isinstance(event, (events.StreamStartEvent, events.StreamEndEvent, events.DocumentEndEvent)):
                value = self._node(event, (), 0)
        return value

    def _node(self, event: events.Event, where: Where, depth: int) -> object:
        self.values[where] = _mark(event)
        before = self.nodes
        self._count(event, 1)
        if isinstance(event, events.AliasEvent):
            return self._alias(event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self._refusal(event, f"tags are not used here ({as_text(str(tag))})")
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = None  # known, but not finished: an alias to it here would contain itself
        if depth > MAX_DEPTH:
            raise self._refusal(event, f"is nested more than {MAX_DEPTH} deep")
        value: object
        if isinstance(event, events.ScalarEvent):
            value = self._scalar(event)
            if value is None and where in self.keys and not event.value:
                self.values[where] = self.keys[where]  # `key:` with nothing behind it: point at the key
            if event.start_mark.line == event.end_mark.line:
                line, col = _mark(event)
                self.texts[where] = Mark(line, col + (1 if event.style in {"'", '"'} else 0))
        elif isinstance(event, events.SequenceStartEvent):
            value = self._sequence(where, depth)
        else:
            value = self._mapping(where, depth)
        if anchor is not None:
            self.anchors[anchor] = _Anchor(value, self.nodes - before)
        return value

    def _alias(self, event: events.AliasEvent) -> object:
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            known = event.anchor in self.anchors
            raise self._refusal(event, f"*{event.anchor} {'contains itself' if known else 'has no anchor'}")
        self._count(event, anchor.nodes)
        return anchor.value

    def _sequence(self, where: Where, depth: int) -> list[object]:
        items: list[object] = []
        for event in self._stream:
            if isinstance(event, events.SequenceEndEvent):
                break
            items.append(self._node(event, (*where, len(items)), depth + 1))
        return items

    def _mapping(self, where: Where, depth: int) -> dict[str, object]:
        entries: dict[str, object] = {}
        for event in self._stream:
            if isinstance(event, events.MappingEndEvent):
                break
            key = self._key(event)
            at = (*where, key)
            twice = key in entries
            if twice:
                first = self.keys[at]
                what = f"the same key a second time (the first is at {first.line}:{first.col})"
                self.problems.append(Problem.at(self.file, _mark(event), at, what))
            else:
                self.keys[at] = _mark(event)
            value = self._node(next(self._stream), at, depth + 1)
            if not twice:
                entries[key] = value
        return entries

    def _key(self, event: events.Event) -> str:
        """Keys are text; `502:` is the text "502" (as in JSON)."""
        if not isinstance(event, events.ScalarEvent) or event.tag is not None:
            raise self._refusal(event, "a key must be plain text")
        return self._text(event)

    def _text(self, event: events.ScalarEvent) -> str:
        try:
            # JSON writes what is beyond U+FFFF as two escapes, which ruamel leaves apart
            return str(event.value).encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError as error:
            raise self._refusal(event, "holds half of a surrogate pair, which is no character") from error

    def _scalar(self, event: events.ScalarEvent) -> object:
        text = self._text(event)
        plain = bool(event.implicit[0]) and event.style in {None, ""}
        if not plain:
            return text
        try:
            return resolve(text)
        except ValueError as error:
            raise self._refusal(event, str(error)) from error

    def _count(self, event: events.Event, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise self._refusal(event, f"has more than {MAX_NODES} values, counting each alias as what it stands for")

    def _refusal(self, event: events.Event, what: str) -> InvalidInput:
        return InvalidInput([*self.problems, Problem.at(self.file, _mark(event), (), what)])


def resolve(text: str) -> object:  # noqa: PLR0911 — one return for each row of the core schema's table
    """The value of a plain (unquoted) scalar by YAML 1.2's core schema, section 10.3.2."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text, 10)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INFINITE.fullmatch(text):
        return float(f"{infinite[1]}inf")
    return float("nan") if text in _NAN else text


def _mark(event: events.Event) -> Mark:
    start = event.start_mark
    return Mark(start.line + 1, start.column + 1)
