"""The certificates of an instance that speaks TLS: good ones, and ones that are really bad.

All are made when they are needed, by trustme: short-lived, elliptic, and signed by an authority that is either given
as a file or of the instance's own.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import trustme

_LASTS: Final = timedelta(days=30)
_LONG_AGO: Final = timedelta(days=90)


class AuthorityError(ValueError):
    """A file that holds no authority; the text says what to do."""


class Certificates:
    """Makes what a server presents. ``names``: what its good certificate is for. See also `registry.Identity`.

    ``authority``: a PEM file with a CA certificate and its key; made, for its owner only, if it is not there. None:
    one of its own, that nobody trusts. Raises AuthorityError, OSError.
    """

    def __init__(self, authority: Path | None, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._authority = _read_or_make(authority)
        self._issue = functools.lru_cache(maxsize=64)(self._issue_new)
        self.good = self.server()

    def server(self, *names: str, expired_for: float | None = None, by_a_stranger: bool = False) -> ssl.SSLContext:
        """See `registry.Identity`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issue(names or self._names, expired_for, by_a_stranger).configure_cert(context)
        context.set_alpn_protocols(["http/1.1"])
        context.options |= ssl.OP_NO_RENEGOTIATION
        return context

    def trust(self, context: ssl.SSLContext) -> None:
        """See `registry.Identity`."""
        self._authority.configure_trust(context)

    def _issue_new(self, names: tuple[str, ...], expired_for: float | None, by_a_stranger: bool) -> trustme.LeafCert:
        now = datetime.now(UTC)
        ends = now + _LASTS if expired_for is None else now - timedelta(seconds=expired_for)
        authority = _new_authority("strangers") if by_a_stranger else self._authority
        return authority.issue_cert(*names, not_before=ends - _LONG_AGO, not_after=ends)


def _new_authority(name: str) -> trustme.CA:
    import trustme  # noqa: PLC0415 - a fifth of a second that only those pay who speak TLS

    return trustme.CA(organization_name=f"badgateway, {name}")


def _read_or_make(path: Path | None) -> trustme.CA:
    if path is None:
        return _new_authority("an app by itself")
    import trustme  # noqa: PLC0415 - see above

    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        authority = _new_authority("made for its owner")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(authority.cert_pem.bytes() + authority.private_key_pem.bytes())
        return authority
    try:
        return trustme.CA.from_pem(pem, pem)
    except ValueError as error:
        raise AuthorityError(f"{path} holds no authority: it must be a CA certificate and its key, in PEM") from error
