"""Heads that come again: what the same bytes came to before, so that they are not understood once more.

Clients that poll, check health or make load send the same head over and over, and an endpoint's answers within one
second differ in nothing. What a head comes to depends on its bytes alone (and on settings, with which the memory
ends), so looking it up is the same as reading it, only faster. Whatever is not found is read as ever.
"""

from typing import Generic, TypeVar

_Understood = TypeVar("_Understood")

#: The longest head that is kept, in bytes.
LONGEST = 2048

#: How many heads are kept; one more, and all are forgotten.
MOST = 256


class Repeated(dict[bytes, _Understood], Generic[_Understood]):
    """What heads came to, by their bytes. Holds at most `MOST` of at most `LONGEST` bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._once: set[int] = set()

    def keep(self, head: bytes, understood: _Understood) -> None:
        """Remember what `head` came to, unless it is a long one, or comes for the first time.

        Most heads that differ at all differ from all others; keeping each of these would cost more than it brings.
        """
        if len(head) > LONGEST:
            return
        once, digest = self._once, hash(head)
        if digest not in once:
            if len(once) >= MOST:
                once.clear()
            once.add(digest)
            return
        if len(self) >= MOST:
            self.clear()
        self[head] = understood
