"""The price list for partners: who reads it declares, by a mandatory extension, that he knows the terms of use."""

from __future__ import annotations

from typing import Final

from badgateway_upstream.app.extensions import (
    NotExtendedError,
    extension_field,
    is_mandatory,
    mandatory,
    understood,
)
from badgateway_upstream.wire.requests import Request

TERMS: Final = "http://shop.example/terms"
"""The extension: its field Version says which version of the terms the client knows."""
VERSION: Final = "3"
FULFILLED: Final = 'Ext:\r\nCache-Control: no-cache="Ext"\r\n'
"""What says that all mandatory extensions were obeyed (RFC 2774 section 5.1)."""

_ASKED: Final = f'send M-GET with Man: "{TERMS}"; ns=16 and 16-Version: {VERSION}'


def admitted(request: Request, *, required: bool) -> str:
    """Return the header lines that go with the list. Raises NotExtendedError; ``required``: nobody is let off."""
    if not is_mandatory(request.method):
        if required:
            raise NotExtendedError(f"the terms of use are a mandatory extension of this resource: {_ASKED}")
        return ""
    declared = mandatory(request.method, request.headers)
    understood(declared, (TERMS,))
    if extension_field(declared, TERMS, "Version", request.headers) != VERSION:
        raise NotExtendedError(f"the terms of use are at version {VERSION}: {_ASKED}")
    return FULFILLED
