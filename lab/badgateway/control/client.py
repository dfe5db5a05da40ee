"""The control API as the command line uses it: a small blocking client, so that `fault set` need not load asyncio."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from badgateway.chain.errors import EnvironmentProblem, InvalidRequest
from badgateway.control import statefile

__tracebackhide__ = True
"""For pytest: what fails is shown where a test called, not in here."""

TOKEN_VARIABLE = "BADGATEWAY_TOKEN"  # noqa: S105  (the variable's name, no secret)
SESSION_HEADER = "X-Badgateway-Session"
TIMEOUT = 30.0
"""Seconds. `restart` waits until the process is ready again, which `boot_slowly` can make long."""


@dataclass(frozen=True)
class ControlClient:
    """Speaks to the control API at `url` (`http://127.0.0.1:8500`) with `token`, for one `session` if it names one."""

    url: str
    token: str
    session: str | None = None

    def call(self, method: str, path: str, body: object = None, *, query: Mapping[str, object] | None = None) -> Any:
        """Send one request to `/api/<path>` and return the decoded JSON of its answer (None if it has no body).

        Raises:
            InvalidRequest: the URL is none, or the API refused what was asked (4xx); the message says why.
            EnvironmentProblem: nobody answers there, or what answers is no badgateway.
        """
        host, port, prefix = _address(self.url)
        target = f"{prefix}/api/{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if self.session is not None:
            headers[SESSION_HEADER] = self.session
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        try:
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            words = str(error) or type(error).__name__
            raise EnvironmentProblem(
                f"no answer from the control API at {self.url} ({words}); is `badgateway up` running there?"
            ) from error
        finally:
            connection.close()
        return _decoded(self.url, answer.status, content)

    def chain(self) -> dict[str, Any]:
        """`GET /api/chain`: the URL of the chain and its nodes."""
        answer: dict[str, Any] = self.call("GET", "chain")
        return answer

    def faults(self) -> list[dict[str, Any]]:
        """`GET /api/faults`: the faults that are set, with how often each fired."""
        answer: list[dict[str, Any]] = self.call("GET", "faults")
        return answer

    def set_fault(self, target: str, spec: Mapping[str, object]) -> dict[str, Any]:
        """`POST /api/faults`: set one fault; returns it with its id."""
        answer: dict[str, Any] = self.call("POST", "faults", {"target": target, **spec})
        return answer

    def clear_fault(self, fault: str) -> None:
        """`DELETE /api/faults/{id}`."""
        self.call("DELETE", f"faults/{quote(fault, safe='')}")

    def fault(self, fault: str) -> dict[str, Any]:
        """`GET /api/faults/{id}`: one fault, also once it is over."""
        answer: dict[str, Any] = self.call("GET", f"faults/{quote(fault, safe='')}")
        return answer

    def stop(self, target: str) -> None:
        """`POST /api/processes/{name}/stop`: returns when the process has ended."""
        self.call("POST", f"processes/{quote(target, safe='')}/stop")

    def clear_faults(self) -> int:
        """`DELETE /api/faults`; returns how many there were."""
        return int(self.call("DELETE", "faults")["cleared"])

    def restart(self, target: str) -> list[str]:
        """`POST /api/processes/{name}/restart`: returns when the process is ready; which faults and patches ended."""
        answer: dict[str, Any] = self.call("POST", f"processes/{quote(target, safe='')}/restart")
        return list(answer.get("lost", ()))

    def reset(self) -> None:
        """`POST /api/reset`: everything as it was started."""
        self.call("POST", "reset")

    def exchanges(self, request_id: str) -> list[dict[str, Any]]:
        """`GET /api/exchanges?request_id=`: the joined traces of that request."""
        answer: list[dict[str, Any]] = self.call("GET", "exchanges", query={"request_id": request_id})
        return answer


def _address(url: str) -> tuple[str, int, str]:
    """Host, port and path (without the last slash) of a control URL; InvalidRequest if it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        wrong = "has a host or a port that is none"
    else:
        if parts.scheme != "http":
            wrong = "does not begin with http://"
        elif not host:
            wrong = "names no host"
        elif " " in url or not parts.path.isascii():
            wrong = "has a character in it that no URL has"
        else:
            return host, 80 if port is None else port, parts.path.rstrip("/")
    raise InvalidRequest(
        f"the control URL {url!r} {wrong}; write it as `badgateway up` prints it: http://127.0.0.1:8500"
    )


def _decoded(url: str, status: int, content: bytes) -> Any:
    try:
        decoded = json.loads(content) if content else None
    except ValueError:
        raise EnvironmentProblem(f"what answers at {url} is no badgateway control API (status {status})") from None
    if status < 400:
        return decoded
    message = decoded.get("error") if isinstance(decoded, dict) else None
    words = str(message or f"the control API answered {status}")
    if status == 401:
        raise EnvironmentProblem(words)
    raise InvalidRequest(words) if status < 500 else EnvironmentProblem(words)


def connect(control: str | None = None, token: str | None = None) -> ControlClient:
    """The client for the chain that runs: by `control` and `token`, else by the state file of `badgateway up`.

    Raises:
        InvalidRequest: `control` is no URL of a control API.
        EnvironmentProblem: no chain runs, or the state file is stale, or there is a URL but no token for it.
    """
    state = statefile.read()
    if control is not None:
        _address(control)
        same = state is not None and state.control.rstrip("/") == control.rstrip("/")
        token = token or (state.token if state is not None and same else os.environ.get(TOKEN_VARIABLE))
        if not token:
            raise EnvironmentProblem(f"no token for {control}: give --token, or set {TOKEN_VARIABLE}")
        return ControlClient(control, token)
    if state is None:
        raise EnvironmentProblem("no chain is running; start one with `badgateway up` (in another terminal)")
    if not state.is_alive():
        raise EnvironmentProblem(
            f"the chain of pid {state.pid} is gone (it left a stale {statefile.path()}); "
            "start one with `badgateway up`, which replaces it"
        )
    return ControlClient(state.control, token or state.token)
