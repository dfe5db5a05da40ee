"""What is wrong with an input: every mistake at once, each with its place and, where one can tell, what was meant.

A problem prints as `file:line:col: path: what; did you mean "x"?`, which editors and CI annotations understand.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Where = tuple[str | int, ...]
"""A path into a document: `("steps", 0, "expect", "status")`."""


class Mark(NamedTuple):
    """A position in a text, both counted from 1."""

    line: int
    col: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. `file`, `path` and `hint` may be empty; line and col are 0 where no text was read."""

    file: str
    line: int
    col: int
    path: str
    what: str
    hint: str = ""

    @classmethod
    def at(cls, file: str, mark: Mark | None, where: Where, what: str, hint: str = "") -> Problem:
        """A problem at a path of a document."""
        line, col = mark or (0, 0)
        return cls(file, line, col, path_text(where), what, hint)

    def __str__(self) -> str:
        place = self.file
        if self.file and self.line:
            place = f"{self.file}:{self.line}:{self.col}"
        start = ": ".join(part for part in (place, self.path) if part)
        # what may go on below its first line: a piece of the input with a caret under it
        first, *below = self.what.split("\n")
        said = f"{first}; {self.hint}" if self.hint else first
        return "\n".join((f"{start}: {said}" if start else said, *below))


class InvalidInput(Exception):
    """An input that cannot be used. Carries every problem found; `str()` is one problem a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def one(
        cls, what: str, *, file: str = "", mark: Mark | None = None, path: str = "", hint: str = ""
    ) -> InvalidInput:
        """An error of a single problem."""
        line, col = mark or (0, 0)
        return cls([Problem(file, line, col, path, what, hint)])


def path_text(where: Where) -> str:
    """`("steps", 0, "expect")` as `steps[0].expect`; a key that holds other characters than a name's is quoted."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.replace("-", "").replace("_", "").isalnum() else as_text(part)
            text += f".{name}" if text else name
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not known: the nearest known one, else all of them if they are few."""
    choices = sorted(set(known))
    near = difflib.get_close_matches(word.lower().replace("-", "_"), choices, n=1, cutoff=0.6)
    near = near or difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    if 0 < len(choices) <= 12:
        return f"known: {', '.join(choices)}"
    return ""


def as_text(value: object, limit: int = 60) -> str:
    """A value as a message shows it: short, on one line, text in double quotes."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= limit else value[: limit - 1] + "…"
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
        return f'"{shown}"'
    if isinstance(value, (int, float)):
        return str(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    if isinstance(value, Sequence):
        return "a list"
    return "a mapping"


def sorted_problems(problems: Iterable[Problem]) -> list[Problem]:
    """In the order in which a reader meets them."""
    return sorted(dict.fromkeys(problems))
