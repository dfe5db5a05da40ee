"""The TLS sections of a hop's configuration: towards clients, and towards upstreams. Both off unless asked for."""

from __future__ import annotations

import re
import ssl
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from badgateway_proxy.configuration.settings import Section

TlsVersion = Literal["TLSv1.2", "TLSv1.3"]

_SERVER_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")


def _readable_authorities(path: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ValueError(f"{path} holds no certificate: it must be a PEM file with BEGIN CERTIFICATE") from error
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    return path


def _server_name(name: str) -> str:
    if not _SERVER_NAME.fullmatch(name):
        raise ValueError(f"{name[:60]!r} is no host name: write letters, digits, dots and hyphens, or an IP address")
    return name


class UpstreamTlsSettings(Section):
    """TLS towards the upstreams (HTTP/1.1 over it, offered by ALPN). Off but for upstreams written as https://."""

    enabled: bool | None = None
    """Whether TLS is spoken to every upstream (true) or to none (false); unset: to those written as https://."""
    verify: bool = True
    """Whether the upstream's certificate must be valid, for the right name, from a trusted authority. nginx:
    proxy_ssl_verify (off there by default), HAProxy: verify required."""
    ca_file: Annotated[str, AfterValidator(_readable_authorities)] | None = None
    """PEM file of the authorities to trust instead of the system's. nginx: proxy_ssl_trusted_certificate,
    HAProxy: ca-file."""
    server_name: Annotated[str, AfterValidator(_server_name)] | None = None
    """The name asked for (SNI) and expected in the certificate; unset: the upstream's host. nginx: proxy_ssl_name,
    HAProxy: sni, Envoy: sni."""
    min_version: TlsVersion = "TLSv1.2"
    """The oldest TLS version accepted: TLSv1.2 or TLSv1.3. Envoy: tls_minimum_protocol_version."""


class TlsSettings(Section):
    """TLS towards clients (HTTP/1.1 over it). Off by default."""

    enabled: bool = False
    """Whether clients must speak TLS."""
    certificate: str | None = None
    """PEM file with the certificate, and those between it and its authority behind it; unset: a self-signed one, made
    at each start for the address listened on and localhost. nginx: ssl_certificate."""
    key: str | None = None
    """PEM file with the certificate's private key. nginx: ssl_certificate_key."""
    min_version: TlsVersion = "TLSv1.2"
    """The oldest TLS version accepted: TLSv1.2 or TLSv1.3. nginx: ssl_protocols."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both, or neither for a self-signed one")
        if self.certificate is None or self.key is None:
            return self
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except ssl.SSLError as error:
            raise ValueError(f"{self.certificate} and {self.key} are no certificate and its key, in PEM") from error
        except OSError as error:
            raise ValueError(f"cannot read {self.certificate} or {self.key}: {error.strerror}") from error
        return self
