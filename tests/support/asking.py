"""The least client there is, for tests that are about the lab and not about a client."""

from __future__ import annotations

import urllib.error
import urllib.request

from badgateway.testing import Lab


def status_of(lab: Lab, path: str = "/products", **headers: str) -> int:
    """GET it through the whole chain, as this test's session, and return the status."""
    request = urllib.request.Request(lab.url + path, headers={**lab.session_headers, **headers})
    try:
        with urllib.request.urlopen(request, timeout=90) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
