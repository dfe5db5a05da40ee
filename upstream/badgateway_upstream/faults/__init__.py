"""The faults, one a file. A file here registers itself when it is imported; adding one needs nothing else."""

from __future__ import annotations

import importlib
import pkgutil


def register_all() -> None:
    """Import every module of this package, in alphabetical order."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        importlib.import_module(f"{__name__}.{module.name}")
