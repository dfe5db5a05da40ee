"""Names for instances that are started alike, as `docker-compose up --scale app=3` does: app-1, app-2, …"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

MOST: Final = 64
"""Instances that can have a name in one folder."""


def take_name(folder: Path) -> tuple[str, int]:
    """Take the first of app-1, app-2, … that no living process holds, and hold it until this process ends.

    It is held by a lock (flock) on a file in ``folder``, which instances share: the kernel lets go of it however the
    process ends, so that one that is started again after a crash has its name again.

    Returns:
        The name, and the descriptor that holds it.

    Raises:
        OSError: the folder cannot be written, or all names are taken.
    """
    for number in range(1, MOST + 1):
        name = f"app-{number}"
        descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return name, descriptor
    raise OSError(f"{MOST} instances have their names in {folder} already")
