"""docker-compose.yml run by a Docker engine, for the tests that have one (BADGATEWAY_DOCKER=1)."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from badgateway.processes.ports import Ports
from badgateway_proxy import decided_by, parse_proxy_status

ROOT = Path(__file__).parents[2]
PORTS = Ports()
TOKEN_FILE = "/run/badgateway/token"
PROFILES = tuple(f"--profile={name}" for name in ("real-nginx", "real-haproxy", "real-envoy", "observability"))
WANTED = os.environ.get("BADGATEWAY_DOCKER") == "1"
NOT_WANTED = "set BADGATEWAY_DOCKER=1 where docker runs and the ports that docker-compose.yml publishes are free"


def compose_commands() -> list[list[str]]:
    """docker-compose (1.29) and docker compose (v2): those that are here."""
    found = [["docker-compose"]] if shutil.which("docker-compose") else []
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=30, check=False)
        found += [["docker", "compose"]] if asked.returncode == 0 else []
    return found


@dataclass(frozen=True)
class Answer:
    """What a client got: the status, which hop made the response (app: none), which instance, and Retry-After."""

    status: int
    decided_by: str
    instance: str | None = None
    retry_after: str | None = None


def ask(port: int = PORTS.cdn, path: str = "/products") -> Answer:
    """One request to a published port. Raises OSError or HTTPException where nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    deciding = decided_by(parse_proxy_status(response.headers.get("Proxy-Status", "")))
    name = "app" if deciding is None else deciding.name
    return Answer(response.status, name, response.headers.get("X-Instance"), response.headers.get("Retry-After"))


def eventually(status: int, *, port: int = PORTS.cdn, path: str = "/products", within: float = 60.0) -> Answer:
    """Ask until the answer has this status: containers take their time to be seen gone, or back."""
    deadline = time.monotonic() + within
    while True:
        try:
            answer = ask(port, path)
        except (OSError, http.client.HTTPException) as error:
            answer = Answer(0, repr(error))
        if answer.status == status:
            return answer
        assert time.monotonic() < deadline, f"still {answer} after {within} s"
        time.sleep(0.1)


class Composed:
    """The chain under docker-compose, as a project of its own."""

    def __init__(self, compose: Sequence[str]) -> None:
        self._compose = [*compose, "--project-name", "badgateway-test"]
        self.network = "badgateway-test_default"

    def run(self, *words: str) -> str:
        """A compose command's output; AssertionError with it if the command fails."""
        done = subprocess.run(
            [*self._compose, *words], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def docker(self, *words: str) -> str:
        """A docker command's output."""
        done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip()

    def containers(self, service: str) -> list[str]:
        """A service's container ids, those that have ended included."""
        return self.run("ps", "-a", "-q", service).split()

    def container(self, service: str) -> str:
        """The id of one of its containers."""
        return self.containers(service)[0]

    def health(self, service: str) -> str:
        """What the health check says: starting, healthy, unhealthy."""
        return self.docker("inspect", "--format", "{{.State.Health.Status}}", self.container(service))

    def restarts(self, container: str) -> int:
        """How often the restart policy has started a container again."""
        return int(self.docker("inspect", "--format", "{{.RestartCount}}", container))

    def until(self, condition: Callable[[], object], what: str, within: float = 60.0) -> None:
        """Wait until `condition()` is true; AssertionError with the lab's last words after `within` seconds."""
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, f"not within {within:g} s: {what}\n{self.run('logs', 'lab')[-2000:]}"
            time.sleep(0.1)

    def control(self, method: str, path: str, body: Mapping[str, object] | None = None) -> int:
        """A request to the control API, as the host sees it; returns the status, 0 where nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", PORTS.control, timeout=20)
        try:
            headers = {"Authorization": f"Bearer {self._token()}", "Content-Type": "application/json"}
            connection.request(method, path, body=json.dumps(body or {}), headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _token(self) -> str:
        return os.environ.get("BADGATEWAY_TOKEN") or self.run("exec", "-T", "cdn", "cat", TOKEN_FILE).strip()

    def reset(self) -> None:
        """Faults, breakers and records back to the start, as soon as the lab and every process are there."""
        self.until(lambda: self.control("POST", "/api/reset") == 200, "a reset")


@contextmanager
def composed(compose: Sequence[str]) -> Iterator[Composed]:
    """Build the image, bring the chain up (by this docker-compose), wait for the lab, and take all down at the end."""
    chain = Composed(compose)
    try:
        chain.run("build")
        chain.run("up", "-d")
        chain.until(lambda: chain.health("lab") == "healthy", "a healthy lab")
        yield chain
    finally:
        # v2 leaves the containers of profiles that it is not told
        chain.run(*PROFILES, "down", "--volumes", "--timeout", "5")
