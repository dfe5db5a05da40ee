"""The environment variables that the shop needs, and what comes of it when a deployment forgets one."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Final

SIGNING_KEY: Final = "SHOP_SIGNING_KEY"
"""What receipts are signed with."""
NEEDED: Final = (SIGNING_KEY,)


class MissingVariableError(ValueError):
    """A variable that the app needs is not set."""


def provide(environment: Mapping[str, str], *, check: bool = False) -> None:
    """Set the process's variables for the shop; those that it needs and ``environment`` lacks are unset.

    Raises MissingVariableError for the latter if ``check``: then the mistake shows at the start.
    """
    for name in NEEDED:
        os.environ.pop(name, None)
    os.environ.update(environment)
    missing = [name for name in NEEDED if name not in environment]
    if missing and check:
        raise MissingVariableError(f"the environment variable {missing[0]} is not set; the shop cannot do without it")


def receipt(number: int, product_id: int, quantity: int) -> bytes:
    """The signed receipt of an order. Raises KeyError when there is no key to sign it with."""
    text = f"order {number}: {quantity} of product {product_id}\n".encode()
    # Looked up where it is first needed, as in many apps: so a bad deployment starts, and looks well.
    signature = hmac.new(os.environ[SIGNING_KEY].encode(), text, hashlib.sha256)
    return text + f"signed {signature.hexdigest()}\n".encode()
