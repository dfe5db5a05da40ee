"""The ready file of `badgateway up --ready-file`: there once the chain is ready, gone when it closes."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from badgateway.chain.errors import EnvironmentProblem


class ReadyFile:
    """A file that only its owner can read, as the token is in it. It appears whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, facts: Mapping[str, Any]) -> None:
        """Write it, replacing what is there.

        Raises:
            EnvironmentProblem: it cannot be written there.
        """
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(facts, file)
            draft.replace(self._path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise EnvironmentProblem(f"--ready-file {self._path}: {error.strerror or error}") from None

    def remove(self) -> None:
        """Remove it. Safe to call twice."""
        self._path.unlink(missing_ok=True)
