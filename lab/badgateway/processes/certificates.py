"""The authority of one run, and the certificates of its hops: made when a chain speaks TLS, gone with the run."""

from __future__ import annotations

import os
from pathlib import Path

from badgateway.chain.spec import DOMAIN

NAMES = ("localhost", "127.0.0.1", "::1")
"""What every certificate is for, besides the name of its node and the address it listens on."""


class Authority:
    """Signs certificates in a run's directory (mode 0700). All hops of the run trust it, and nobody else does.

    `folder`: where its files are: `authority.pem` (certificate and key, for the app), `ca.pem` (what to trust).
    """

    def __init__(self, folder: Path) -> None:
        import trustme  # noqa: PLC0415 - a fifth of a second that only chains pay which speak TLS

        self._folder = folder
        self._ca = trustme.CA(organization_name="badgateway, one run")
        self.trusted = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.trusted)
        self.whole = folder / "authority.pem"
        _write_secret(self.whole, self._ca.cert_pem.bytes() + self._ca.private_key_pem.bytes())

    def certificate(self, name: str, host: str) -> dict[str, str]:
        """Files for a hop's `tls` settings: its `certificate` and its `key`."""
        leaf = self._ca.issue_cert(*dict.fromkeys((host, name, f"{name}.{DOMAIN}", *NAMES)))
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        _write_secret(key, leaf.private_key_pem.bytes())
        return {"certificate": str(certificate), "key": str(key)}


def _write_secret(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
