"""Reading the rest of a response into the store, at the pace at which the endpoint sends it.

In a task of its own: who asked first may leave, and others may be reading along.
"""

from __future__ import annotations

from badgateway_proxy.cache.cache import Cache
from badgateway_proxy.cache.stored import Stored
from badgateway_proxy.errors import HopError
from badgateway_proxy.transport.attempt import Attempt


async def fill(cache: Cache, stored: Stored, attempt: Attempt) -> None:
    """Read until the response is whole; one that never will be is not stored."""
    body, connection = stored.body, attempt.connection
    try:
        while not connection.complete:
            await body.room()
            if not (body.kept or body.readers):
                attempt.cancel()  # too large to store, and nobody reads it any more
                return
            _add(cache, stored, await attempt.next_bytes())
        _add(cache, stored, connection.take())
        stored.length = body.size
        body.finish()
    except HopError as error:
        cache.store.remove(stored)
        body.fail(error)
    finally:
        attempt.finish()


def _add(cache: Cache, stored: Stored, data: bytes) -> None:
    if data:
        stored.body.append(data)
        cache.grew(stored)
