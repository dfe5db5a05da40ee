"""The admin API's bearer token: from configuration, the environment, a file, or made up."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = "BADGATEWAY_TOKEN"


class TokenError(Exception):
    """A token file that cannot be used."""


def resolve_token(
    token: str | None, token_file: str | None, environ: Mapping[str, str] = os.environ
) -> tuple[str, bool]:
    """Return the token to ask for, and whether it is a random one that nobody knows yet.

    In this order: ``token``, the variable BADGATEWAY_TOKEN, ``token_file`` (made if it is not there), a
    random one. Raises `TokenError` when the file can be neither read nor made.
    """
    given = token or environ.get(ENVIRONMENT)
    if given:
        return given, False
    if token_file is not None:
        return read_or_make(Path(token_file)), False
    return secrets.token_urlsafe(24), True


def read_or_make(path: Path) -> str:
    """Return the token in ``path``; if there is no such file, make one that only its owner can read.

    Safe when several processes do so at once: only one makes the file, whole, and all return the same token.
    Raises `TokenError`.
    """
    token = secrets.token_urlsafe(24)
    # Linked into place when complete: whoever finds the file finds a whole token in it.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            pass
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            return _read(path)
        finally:
            draft.unlink()
    except OSError as error:
        raise TokenError(f"cannot use token file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TokenError(f"cannot use token file {path}: it is no ASCII text") from error
    return token


def _read(path: Path) -> str:
    token = path.read_text("ascii").strip()
    if not token or not token.isprintable() or " " in token:
        raise TokenError(f"token file {path} holds no token; delete it, and a new one is made")
    return token
