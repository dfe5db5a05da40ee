"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 firing`, `2 firings`, `no firings`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
