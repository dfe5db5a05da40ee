"""Finding the marked parts of a Markdown page. A mark is an HTML comment, which readers of the page do not see.

<!-- generated: NAME [ARGUMENT] -->      what stands up to <!-- /generated --> is made by `generated`
<!-- run: SESSION [WORD]… -->            the fenced block below is run by `sessions`; words: background, file=NAME
<!-- not run: REASON -->                 the fenced block below is not
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_GENERATED = re.compile(r"(<!-- generated: (?P<what>[^>]*?) -->\n)(?P<made>.*?)(?P<end><!-- /generated -->)", re.DOTALL)
_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>run|not run): (?P<words>[^>]*?) -->\n)?(?P<open>```(?P<language>\w*)\n)(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block. `session` is empty if it is not run; `start` and `end` are where its text stands in the page."""

    language: str
    text: str
    session: str
    words: tuple[str, ...]
    marked: bool
    start: int
    end: int
    line: int

    @property
    def background(self) -> bool:
        """Whether its command goes on while the following ones run, as in another terminal."""
        return "background" in self.words

    @property
    def checkout(self) -> bool:
        """Whether the reader is in a checkout, and may change it."""
        return "checkout" in self.words

    @property
    def file(self) -> str:
        """The file that the reader is told to save the text as; empty if there is none."""
        return self._value("file")

    @property
    def appended_to(self) -> str:
        """The file that the text is to be added to; empty if there is none."""
        return self._value("append")

    def _value(self, key: str) -> str:
        return next((word.removeprefix(f"{key}=") for word in self.words if word.startswith(f"{key}=")), "")


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for found in _FENCE.finditer(page):
        words = (found["words"] or "").split()
        runs = found["mark"] == "run"
        yield Block(
            language=found["language"],
            text=found["text"],
            session=words[0] if runs else "",
            words=tuple(words[1:]) if runs else (),
            marked=found["mark"] is not None,
            start=found.start("text"),
            end=found.end("text"),
            line=page.count("\n", 0, found.start("open")) + 1,
        )


def generated(page: str) -> dict[str, str]:
    """The generated parts of a page, by the words of their marks."""
    return {found["what"]: found["made"].strip() for found in _GENERATED.finditer(page)}


def regenerate(page: str, make: Callable[[str], str]) -> str:
    """The page with every generated part made anew; `make` gets the words of its mark."""
    return _GENERATED.sub(lambda found: f"{found[1]}\n{make(found['what']).strip()}\n\n{found['end']}", page)


def anchors(page: str) -> set[str]:
    """What links can point at within a page, as GitHub names its headings."""
    text = _FENCE.sub("", page)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


def links(page: str) -> Iterator[str]:
    """The targets of all links outside of fenced blocks."""
    for found in _LINK.finditer(_FENCE.sub("", page)):
        yield found["target"]


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the output that the page shows for it."""

    text: str
    output: str


def commands(text: str) -> list[Command]:
    r"""The commands of a console block: lines that begin with `$ `, going on where they end in a backslash."""
    found: list[tuple[list[str], list[str]]] = []
    goes_on = False
    for line in text.splitlines():
        if goes_on:
            found[-1][0].append(line)
        elif line.startswith("$ "):
            found.append(([line.removeprefix("$ ")], []))
        elif found:
            found[-1][1].append(line)
        goes_on = bool(found) and not found[-1][1] and found[-1][0][-1].endswith("\\")
    return [Command("\n".join(words), "\n".join(shown).strip("\n")) for words, shown in found]


def console(done: list[Command]) -> str:
    """A console block's text: the commands and their outputs, an empty line behind each output but the last."""
    parts = [f"$ {command.text}\n" + (f"{command.output}\n" if command.output else "") for command in done]
    spaced = [part + ("\n" if done[n].output else "") for n, part in enumerate(parts[:-1])]
    return "".join([*spaced, *parts[-1:]])
