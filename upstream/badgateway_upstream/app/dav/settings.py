"""How the store is set up."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from badgateway_upstream.strict import Strict

LARGEST_QUOTA: Final = 64 << 20


class DavSettings(Strict):
    """The files of the shop, at /dav/: a WebDAV store that instances with one database share."""

    enabled: bool = True
    """Whether there is one. Without it the server implements none of WebDAV's methods."""
    quota: Annotated[int, Field(ge=0, le=LARGEST_QUOTA)] = 4 << 20
    """Bytes of all files together (RFC 4331)."""
    allow_cycles: bool = False
    """Whether a collection may be bound below itself (RFC 5842 section 4: DAV:cycle-allowed)."""
