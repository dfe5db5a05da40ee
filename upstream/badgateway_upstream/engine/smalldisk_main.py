"""Makes a small tmpfs that nobody else sees, and hands its root directory to whoever started this script.

Run by `smalldisk.SmallDisk` in a process of its own, because a process with threads may not enter a new user
namespace; with one argument, the size in bytes, and one end of a socket pair as stdin. The file system lives on as long
as somebody holds its directory open, so that a SIGKILL leaves nothing behind. Fails where mounting is not allowed.
"""

from __future__ import annotations

import array
import ctypes
import os
import socket
import sys
from typing import Final

_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWUSER: Final = 0x10000000
_MS_NOSUID: Final = 0x2
_MS_NODEV: Final = 0x4
_MS_REC: Final = 0x4000
_MS_PRIVATE: Final = 0x40000
_WHERE: Final = b"/tmp"
"""Any directory would do: in a mount namespace of our own it hides what others see there."""


def _call(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _enter_namespaces(libc: ctypes.CDLL) -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        # In a user namespace of its own anybody may mount a tmpfs (user_namespaces(7)) …
        _call(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
    except OSError:
        # … and root may where those are switched off.
        _call(libc.unshare(_CLONE_NEWNS))
        return
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def main(size: int) -> None:
    """Mount, and send the directory through stdin."""
    libc = ctypes.CDLL(None, use_errno=True)
    _enter_namespaces(libc)
    _call(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    options = f"size={size},nr_inodes=1000,mode=700".encode()
    _call(libc.mount(b"tmpfs", _WHERE, b"tmpfs", _MS_NOSUID | _MS_NODEV, options))
    directory = os.open(_WHERE, os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(fileno=os.dup(0)) as reply:
        reply.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [directory]))])


if __name__ == "__main__":
    main(int(sys.argv[1]))
