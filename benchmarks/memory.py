"""A process's memory, as the kernel counts it (proc(5))."""

from __future__ import annotations

from pathlib import Path


def resident(pid: int) -> int:
    """VmRSS, in bytes."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """VmHWM, the highest VmRSS since the start or since ``forget_peak``, in bytes."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> bool:
    """Set VmHWM back to the present VmRSS; False where the kernel does not permit it."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status has no {name}")
