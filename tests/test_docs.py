"""The documentation is true: its commands run and print what it shows, its generated parts are fresh, its links lead
somewhere.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.docs import PAGES, ROOT
from tests.support.docs.generated import generate
from tests.support.docs.markdown import Block, anchors, blocks, generated, links
from tests.support.docs.sessions import session, settled
from tests.support.tools import require

MAKE_DOCS = "`make docs` writes it anew"
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
SLOW_TO_GENERATE = {"faults"}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def generated_parts() -> Iterator[Any]:
    for name in NAMES:
        for what in generated(text_of(name)):
            marks = [pytest.mark.slow] if what in SLOW_TO_GENERATE else []
            yield pytest.param(name, what, marks=marks, id=f"{name}: {what}")


def sessions() -> list[Any]:
    found = ((name, block.session) for name in NAMES for block in blocks(text_of(name)) if block.session)
    return [pytest.param(*each, id=": ".join(each)) for each in dict.fromkeys(found)]


@pytest.mark.parametrize(("name", "what"), list(generated_parts()))
def test_a_generated_part_is_fresh(name: str, what: str) -> None:
    assert generated(text_of(name))[what] == generate(what).strip(), MAKE_DOCS


@pytest.mark.slow
@pytest.mark.parametrize(("name", "which"), sessions())
def test_commands_do_what_the_page_shows(name: str, which: str, tmp_path: Path) -> None:
    played: list[Block] = [block for block in blocks(text_of(name)) if block.session == which]
    if any("curl " in block.text for block in played):
        require("curl")
    with session(tmp_path, played) as shell:
        for block in played:
            done = shell.play(block)
            assert settled(done) == settled(block.text), f"{name}:{block.line}: {MAKE_DOCS}"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_run_or_says_why_not(name: str) -> None:
    unmarked = [
        block.line for block in blocks(text_of(name)) if block.language in {"sh", "console"} and not block.marked
    ]
    assert not unmarked, f"{name}: mark the blocks at these lines with <!-- run: … --> or <!-- not run: … -->"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in links(text_of(name)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("name", NAMES)
def test_paths_and_make_targets_that_are_named_exist(name: str) -> None:
    text = text_of(name)
    paths = re.findall(r"`((?:proxy|upstream|lab|tests|scenarios|docs|benchmarks|\.ci)/[\w./-]*)`", text)
    examples = {block.file for block in blocks(text) if block.file}
    assert [path for path in paths if path not in examples and not (ROOT / path).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets


@pytest.mark.parametrize("name", [*NAMES, "CHANGELOG.md"])
def test_nothing_of_the_machine_that_wrote_it_is_left_in_a_page(name: str) -> None:
    assert not re.search(rf"{re.escape(str(ROOT))}|/tmp/|/home/|/root/", text_of(name))


def test_every_part_of_a_scenario_is_described() -> None:
    text = text_of("docs/scenarios.md")
    schema = _schema()
    parts: Mapping[str, Any] = schema["$defs"]
    keys = {key for part in ("Expectation", "HopExpectation", "Traffic", "WindowExpectation", "Lesson")
            for key in parts[part]["properties"]}  # fmt: skip
    assert [key for key in (*keys, *schema["properties"]) if not re.search(rf"\b{key}\b", text)] == []


def test_every_condition_of_a_fault_is_described() -> None:
    text = text_of("docs/faults.md")
    assert [key for key in _schema()["$defs"]["When"]["properties"] if f"`{key}`" not in text] == []


def _schema() -> Any:
    ran = subprocess.run([sys.executable, "-m", "badgateway", "schema"], capture_output=True, check=True)
    return json.loads(ran.stdout)
