"""What a command writes to: a terminal gets rich's pictures, anything else gets plain lines."""

from __future__ import annotations

import os
import sys

from rich.console import Console


def is_terminal() -> bool:
    """Whether stdout is a terminal that can draw; a pipe, a file, CI and `TERM=dumb` are not."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def console() -> Console:
    """A rich console on stdout. Ask `is_terminal()` first: on a pipe rich would wrap at 80 columns."""
    return Console(highlight=False)


def seconds(value: float) -> str:
    """A duration as a person reads it: `0.4 ms`, `12 ms`, `804 ms`, `1.60 s`.

    Args:
        value: seconds.
    """
    if value < 0.01:
        return f"{value * 1000:.1f} ms"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s"


def shortened(text: str, limit: int = 60) -> str:
    """`text`, cut to `limit` characters, with a sign that it was."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
