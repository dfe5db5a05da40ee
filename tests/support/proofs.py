"""Which test proves which fault on the wire. Read statically by the test that no fault is without a proof."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def proves(*faults: str) -> Callable[[T], T]:
    """Say that the decorated test proves these faults."""
    del faults
    return lambda test: test


def proven(folder: Path) -> Iterator[str]:
    """The faults that tests below ``folder`` say they prove."""
    for file in folder.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "proves":
                for argument in node.args:
                    assert isinstance(argument, ast.Constant)
                    assert isinstance(argument.value, str)
                    yield argument.value
