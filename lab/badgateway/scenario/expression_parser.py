"""What a traffic expectation can say: `share(status=504, decided_by=lb) > 95% and p95(status=200) < 300ms`.

    expression = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | "(" expression ")" | comparison
    comparison = side ("<" | "<=" | ">" | ">=" | "==" | "!=") side        one side measures, the other is a constant
    side       = measure | 12 | 0.5 | 95% | 300ms | 50/s
    measure    = name [ "(" [ filter { "," filter } ] ")" ]
    name       = share | count | rate | min | mean | max | p50 | p95 | p99.9 …
    filter     = key ("=" | "!=") value                                   status=5xx, error=none, path="/a b"

Text is parsed into the tree below; nothing is ever handed to Python's `eval`. Units are checked when it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NoReturn

from badgateway.inputs.problems import InvalidInput, Problem, did_you_mean
from badgateway.running.observations import FAILURES
from badgateway.scenario.expressions import (
    COMPARE,
    All,
    AnyOf,
    Comparison,
    Constant,
    Expression,
    Filter,
    Measure,
    Not,
    Op,
    Unit,
)
from badgateway_proxy import parse_duration

MAX_LENGTH = 2_000
MAX_DEPTH = 40

MEASURES: Final[Mapping[str, Unit]] = MappingProxyType(
    {
        "share": "share",
        "count": "number",
        "rate": "rate",
        "min": "duration",
        "mean": "duration",
        "max": "duration",
    }
)
FILTERS: Final = ("status", "decided_by", "error", "path", "method", "truncated", "failure", "instance")

_PERCENTILE = re.compile(r"p([0-9]{1,3}(?:\.[0-9]{1,4})?)")
_EXAMPLE: Final[Mapping[Unit, str]] = MappingProxyType(
    {"share": "95%", "number": "10", "rate": "50/s", "duration": "300ms"}
)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<constant>[0-9]+(?:\.[0-9]+)?(?:%|/s|[a-zA-Z]+)?(?![\w.%]))
      | (?P<word>[A-Za-z_/][\w./*-]*(?:\.[0-9]+)?)
      | (?P<quoted>"[^"]*")
      | (?P<op><=|>=|==|!=|<|>|=)
      | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)


class ExpressionError(InvalidInput):
    """An expression that cannot be used. `offset` is the character where it goes wrong, from 0."""

    def __init__(self, text: str, offset: int, said: str, hint: str = "") -> None:
        self.offset = min(offset, len(text))
        self.said, self.hint = said, hint
        start = max(0, self.offset - 60)
        shown = text[start : self.offset + 60].replace("\n", " ").replace("\t", " ")
        self.what = f"{said}\n    {shown}\n    {' ' * (self.offset - start)}^"
        super().__init__([Problem("", 0, 0, "", self.what, hint)])


def parse_expression(text: str) -> Expression:
    """Parse one expectation. Raises ExpressionError saying where it goes wrong and what was probably meant."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(text, MAX_LENGTH, f"an expression has at most {MAX_LENGTH} characters")
    return _Parser(text).parse()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.depth = 0
        self.tokens = list(self._scan())
        self.next = 0

    def _scan(self) -> Iterator[_Token]:
        at = 0
        while at < len(self.text) and not self.text[at:].isspace():
            found = _TOKEN.match(self.text, at)
            if found is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                raise ExpressionError(self.text, at, "cannot be read from here")
            kind = str(found.lastgroup)
            yield _Token(kind, found[kind], found.start(kind))
            at = found.end()
        yield _Token("end", "", len(self.text))

    @property
    def token(self) -> _Token:
        return self.tokens[self.next]

    def fail(self, said: str, hint: str = "", *, at: int | None = None) -> NoReturn:
        raise ExpressionError(self.text, self.token.offset if at is None else at, said, hint)

    def take(self, *texts: str) -> _Token | None:
        token = self.token
        if token.kind != "quoted" and token.text in texts:
            self.next += 1
            return token
        return None

    def parse(self) -> Expression:
        expression = self.any_of()
        if self.token.kind != "end":
            self.fail('expected "and", "or" or the end')
        return expression

    def any_of(self) -> Expression:
        parts = [self.all_of()]
        while self.take("or"):
            parts.append(self.all_of())
        return AnyOf(tuple(parts)) if len(parts) > 1 else parts[0]

    def all_of(self) -> Expression:
        parts = [self.negation()]
        while self.take("and"):
            parts.append(self.negation())
        return All(tuple(parts)) if len(parts) > 1 else parts[0]

    def negation(self) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"is nested more than {MAX_DEPTH} deep")
        expression: Expression
        if self.take("not"):
            expression = Not(self.negation())
        elif self.take("("):
            expression = self.any_of()
            if not self.take(")"):
                self.fail('expected ")"')
        else:
            expression = self.comparison()
        self.depth -= 1
        return expression

    def comparison(self) -> Comparison:
        start = self.token
        left = self.side()
        sign = self.token
        if sign.text not in COMPARE or sign.kind != "op":
            self.fail("expected a comparison (< <= > >= == !=)", 'did you mean "=="?' if sign.text == "=" else "")
        self.next += 1
        behind = self.token
        right = self.side()
        measured = left if isinstance(left, Measure) else right
        constant = right if isinstance(right, Constant) else left
        if not isinstance(measured, Measure) or not isinstance(constant, Constant):
            self.fail("one side must measure something and the other be a number", at=start.offset)
        at = behind.offset if constant is right else start.offset
        return Comparison(self._fitted(left, measured, at), _op(sign.text), self._fitted(right, measured, at))

    def _fitted(self, side: Measure | Constant, measure: Measure, at: int) -> Measure | Constant:
        """A bare number fits a share (0 to 1) and a rate; every other unit must be the measure's own."""
        if isinstance(side, Measure) or side.unit == measure.unit:
            return side
        bare = side.unit == "number"
        if bare and (measure.unit == "rate" or (measure.unit == "share" and side.value <= 1)):
            return Constant(side.value, measure.unit, side.text)
        kind = "a duration" if measure.unit == "duration" else f"a {measure.unit}"
        example = _EXAMPLE[measure.unit]
        raise ExpressionError(
            self.text, at, f"{measure.name} is {kind}, to be compared with something like {example}, not {side}"
        )

    def side(self) -> Measure | Constant:
        token = self.token
        if token.kind not in {"constant", "word"}:
            self.fail("expected something measured, such as p95 or share(status=504)")
        self.next += 1
        return self.constant(token) if token.kind == "constant" else self.measure(token)

    def constant(self, token: _Token) -> Constant:
        text = token.text
        if text.endswith("%"):
            return Constant(float(text[:-1]) / 100, "share", text)
        if text.endswith("/s"):
            return Constant(float(text[:-2]), "rate", text)
        if text[-1].isdigit():
            return Constant(float(text), "number", text)
        try:
            return Constant(parse_duration(text), "duration", text)
        except ValueError as error:
            raise ExpressionError(self.text, token.offset, str(error)) from error

    def measure(self, token: _Token) -> Measure:
        name, percentile = token.text, None
        unit = MEASURES.get(name)
        if found := _PERCENTILE.fullmatch(name):
            unit, percentile = "duration", float(found[1])
            if not 0 < percentile <= 100:
                self.fail("a percentile is more than 0 and at most 100, such as p99.9", at=token.offset)
        if unit is None:
            known = (*MEASURES, "p50", "p90", "p95", "p99")
            self.fail(f'nothing measured is called "{name}"', did_you_mean(name, known), at=token.offset)
        return Measure(name, unit, percentile, self.filters())

    def filters(self) -> tuple[Filter, ...]:
        if not self.take("("):
            return ()
        if self.take(")"):
            return ()
        found = [self.filter()]
        while self.take(","):
            found.append(self.filter())
        if not self.take(")"):
            # YAML ends a text at a comma where it stands inside braces
            cut = self.token.kind == "end"
            self.fail('expected "," or ")"', "between { and } an expression with a comma needs quotes" if cut else "")
        return tuple(found)

    def filter(self) -> Filter:
        key = self.token
        if key.kind != "word":
            self.fail(f"expected a filter such as status=504 (filters: {', '.join(FILTERS)})")
        if key.text not in FILTERS:
            self.fail(f'there is no filter "{key.text}"', did_you_mean(key.text, FILTERS))
        self.next += 1
        sign = self.take("=", "!=", "==")
        if sign is None:
            self.fail('expected "=" or "!="')
        value = self.token
        if value.kind not in {"word", "constant", "quoted"}:
            self.fail(f"expected a value for {key.text}")
        self.next += 1
        text = value.text[1:-1] if value.kind == "quoted" else value.text
        self._check(key.text, text, value.offset)
        return Filter(key.text, text, sign.text == "!=")

    def _check(self, key: str, value: str, at: int) -> None:
        if key == "status" and not re.fullmatch(r"[1-9](xx|[0-9]{2})|none", value):
            self.fail("a status is three digits, a class such as 5xx, or none", at=at)
        if key == "truncated" and value not in {"true", "false"}:
            self.fail("truncated is true or false", at=at)
        if key == "failure" and value not in {*FAILURES, "none"}:
            self.fail("unknown failure", did_you_mean(value, (*FAILURES, "none")), at=at)


def _op(text: str) -> Op:
    for known in ("<", "<=", ">", ">=", "==", "!="):
        if text == known:
            return known
    raise AssertionError(text)  # the scanner knows no other
