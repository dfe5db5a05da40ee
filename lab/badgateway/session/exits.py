"""How a command ends: the exit codes of the contract."""

from __future__ import annotations

from typing import Final

HELD: Final = 0
"""All expectations held."""
FAILED: Final = 1
"""An expectation failed."""
USAGE: Final = 2
"""The command line or a scenario file is wrong; nothing was started."""
ENVIRONMENT: Final = 3
"""Something around us: a port taken, a child that died, no chain running."""
INTERRUPTED: Final = 130
"""SIGINT or SIGTERM; everything was closed in order first."""
BROKEN_PIPE: Final = 141
"""The reader of our output left (128 + SIGPIPE, as for any tool that a pipe ends)."""


class Interrupted(BaseException):
    """SIGINT or SIGTERM reached a running command, and it has closed what it had opened. Exit 130.

    A BaseException for the same reason as KeyboardInterrupt: no `except Exception` may swallow it.
    """
