"""`python -m tests.support.docs [PAGE]…`: write anew what the documentation takes from what runs; with `picture` as
argument, the picture.

Outputs of commands are only replaced where they differ in more than times, ids and the like.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.docs import PAGES, ROOT
from tests.support.docs.generated import generate
from tests.support.docs.markdown import Block, blocks, regenerate
from tests.support.docs.picture import PICTURE, record
from tests.support.docs.sessions import session, settled


def main() -> None:
    """Rewrite every page, those that are named, or the picture."""
    chosen = sys.argv[1:]
    if chosen == ["picture"]:
        _write(PICTURE, record())
        return
    for path in [ROOT / name for name in chosen] or PAGES:
        page = regenerate(path.read_text(encoding="utf-8"), generate)
        for name in dict.fromkeys(block.session for block in blocks(page) if block.session):
            page = played(page, name)
        _write(path, page)


def played(page: str, name: str) -> str:
    """The page with the outputs of one session as they are now."""
    texts: dict[Block, str] = {}
    chosen = [block for block in blocks(page) if block.session == name]
    with tempfile.TemporaryDirectory(prefix="badgateway-docs-") as top, session(Path(top), chosen) as shell:
        for block in chosen:
            text = shell.play(block)
            texts[block] = block.text if settled(text) == settled(block.text) else text
    return _replaced(page, texts)


def _replaced(page: str, texts: Mapping[Block, str]) -> str:
    for block in sorted(texts, key=lambda block: block.start, reverse=True):
        page = page[: block.start] + texts[block] + page[block.end :]
    return page


def _write(path: Path, text: str) -> None:
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if text != old:
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)} written anew")


if __name__ == "__main__":
    main()
