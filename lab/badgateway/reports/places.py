"""Where in which file something is, as CI wants it for annotations."""

from __future__ import annotations

import os
from pathlib import Path

WORKSPACE = "GITHUB_WORKSPACE"
"""The variable that says where a job of GitHub Actions has its repository, to which annotations are relative."""


def from_here(file: str) -> str:
    """A path below the working directory relative to it; any other as it is."""
    return _below(Path.cwd(), file)


def from_workspace(file: str) -> str:
    """A path relative to the repository that GitHub Actions checked out; otherwise as `from_here`."""
    return from_here(_below(Path(os.environ.get(WORKSPACE) or Path.cwd()), str(Path(file).absolute())))


def _below(directory: Path, file: str) -> str:
    path = Path(file)
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else file
