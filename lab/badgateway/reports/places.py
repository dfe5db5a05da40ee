"""Where in which file something is, as CI wants it for annotations."""

from __future__ import annotations

from pathlib import Path


def from_here(file: str) -> str:
    """A path below the working directory relative to it, as CI wants it for annotations; any other as it is."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file
