"""From a chain's description to its processes: addresses, configurations, and who sends to whom."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import aiohttp
from pydantic import BaseModel, ValidationError

from badgateway.chain.errors import InvalidRequest
from badgateway.chain.nodes import HopAdmin, InstanceAdmin, Node
from badgateway.chain.spec import DNS, DOMAIN, ChainSpec
from badgateway.inputs.problems import path_text
from badgateway.inputs.validation import findings
from badgateway.processes.certificates import Authority
from badgateway.processes.forkserver import HOP, INSTANCE, ForkServer
from badgateway.processes.ports import Ports, Reservations
from badgateway.processes.rundir import RunDir
from badgateway.processes.supervisor import OnChange, OnLine, Process
from badgateway_proxy import unknown_endpoints
from badgateway_upstream import InstanceConfig

APP_TIER = "app"


class Assembly:
    """Everything that a lab's processes need and that has to be given back: addresses, directory, HTTP session."""

    def __init__(self, chain: ChainSpec, ports: Ports | None, forkserver: ForkServer) -> None:
        self.rundir = RunDir(announce=forkserver.keep)
        self.token = secrets.token_urlsafe(24)
        self._chain, self._ports, self._forkserver = chain, ports, forkserver
        self._reserved = Reservations(ports.host if ports else "127.0.0.1")
        self._addresses: dict[str, tuple[int, int]] = {}
        self._dns_port = 0
        self._authority = Authority(self.rundir.path) if chain.needs_authority else None

    def build(self, session: aiohttp.ClientSession, on_change: OnChange, on_line: OnLine) -> list[Node]:
        """Reserve every address and describe every process, outermost first. Starts nothing.

        Raises:
            EnvironmentProblem: a fixed port is taken.
            InvalidRequest: the chain's settings do not fit together.
        """
        self._make_database()
        names = [*self._chain.hops, *self._chain.instances, *((DNS,) if self._chain.dns else ())]
        wanted = [(name, *self._wanted(name, index - len(self._chain.hops))) for index, name in enumerate(names)]
        # the numbered ones first: none of them may go to what takes any
        listens = {
            name: self._reserved.take(port, option=option)
            for name, port, option in sorted(wanted, key=lambda each: each[1] == 0)
        }
        self._addresses = {name: (listens[name], self._reserved.take()) for name in names}
        if self._chain.dns:
            self._dns_port = self._reserved.take_udp()
        nodes = []
        for name in names:
            is_hop = name in self._chain.hops
            admin: type[HopAdmin | InstanceAdmin] = HopAdmin if is_hop else InstanceAdmin
            process = Process(
                name,
                HOP if is_hop else INSTANCE,
                self._config(name, is_hop=is_hop),
                forkserver=self._forkserver,
                rundir=self.rundir,
                on_change=on_change,
                on_line=on_line,
            )
            port, admin_port = self._addresses[name]
            tier = name if is_hop or name == DNS else APP_TIER
            listen = f"{self._scheme(tier)}://{self._reserved.host}:{port}"
            if name == DNS:
                listen = f"dns://{self._reserved.host}:{self._dns_port}"
            control = f"http://{self._reserved.host}:{admin_port}"
            client = admin(name, control, self.token, session)
            nodes.append(Node(name, tier, listen, client, process))
        return nodes

    def close(self) -> None:
        """Give back the addresses and delete the directory. May be called twice."""
        self._reserved.close()
        if self.rundir.remove():  # else a process that was killed just now still wrote there
            self._forkserver.release(self.rundir.path)

    def _make_database(self) -> None:
        # Instances that start at once would race for switching the shared file to WAL, and SQLite does not
        # wait for that lock whatever the timeout: "database is locked". Done once here, it is nothing that
        # they have to do.
        with closing(sqlite3.connect(self.rundir.database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")

    def _wanted(self, name: str, instance: int) -> tuple[int, str]:
        if self._ports is None or name == DNS:
            return 0, ""
        if instance >= 0:
            # 0 is "any free one" for every instance, not ports 0, 1, 2, …
            return self._ports.app and self._ports.app + instance, "--app-port"
        return int(getattr(self._ports, name)), f"--{name}-port"

    def _config(self, name: str, *, is_hop: bool) -> Mapping[str, Any]:
        listen, admin = self._addresses[name]
        host = self._reserved.host
        wiring: dict[str, Any] = {
            "listen": {"host": self._listens_on(name), "port": listen},
            "admin": {"host": host, "port": admin, "token": self.token},
            "exit_with_stdin": True,
        }
        try:
            config: BaseModel
            if is_hop:
                after = self._after(name)
                scheme = self._scheme(after[0] if after[0] in self._chain.hops else APP_TIER)
                wiring["upstreams"] = [
                    f"{scheme}://{self._known_as(node)}:{self._addresses[node][0]}" for node in after
                ]
                given = {**self._tls_files(name, host), **self._resolver()}
                config = hop = self._chain.hop_config(name, wiring, given, self.known_urls)
                if unknown := unknown_endpoints(hop):
                    raise InvalidRequest("\n".join(f"{name}.{problem}" for problem in unknown))
            elif name == DNS:
                config = InstanceConfig.model_validate({**wiring, "name": name, "dns": self._names()})
            else:
                wiring["database"] = str(self.rundir.database)
                wiring["authority"] = None if self._authority is None else str(self._authority.whole)
                wiring["server_names"] = [f"{name}.{DOMAIN}"]
                config = self._chain.instance_config(name, wiring)
        except ValidationError as error:
            lines = [f"{path_text((name, *found.where))}: {found.what}" for found in findings(error, {})]
            raise InvalidRequest("\n".join(lines)) from None
        return config.model_dump(mode="json")

    @property
    def known_urls(self) -> dict[str, str]:
        """Where hops look for each node: by name where the chain has DNS."""
        return {
            node: f"{self._scheme(node if node in self._chain.hops else APP_TIER)}://{self._known_as(node)}:{port}"
            for node, (port, _) in self._addresses.items()
        }

    def _known_as(self, node: str) -> str:
        """What a hop's upstream is written as."""
        return f"{node}.{DOMAIN}" if self._chain.dns else self._reserved.host

    def _resolver(self) -> Mapping[str, Any]:
        if not self._chain.dns:
            return {}
        return {"resolver": {"nameserver": f"{self._reserved.host}:{self._dns_port}"}}

    def _names(self) -> Mapping[str, Any]:
        """What the DNS server knows: every node's name, and all are at the same address."""
        nodes = (*self._chain.hops[1:], *self._chain.instances)
        records = {self._known_as(node): [self._reserved.host] for node in nodes}
        return {"listen": {"host": self._reserved.host, "port": self._dns_port}, "records": records}

    def _listens_on(self, name: str) -> str:
        outside = self._ports.cdn_host if self._ports is not None and name == self._chain.hops[0] else None
        return outside or self._reserved.host

    def _scheme(self, tier: str) -> str:
        return "https" if self._chain.serves_tls(tier) else "http"

    def _tls_files(self, hop: str, host: str) -> Mapping[str, Any]:
        """Whom a hop trusts, and its certificate."""
        if self._authority is None:
            return {}
        own = {"tls": self._authority.certificate(hop, host)} if self._chain.serves_tls(hop) else {}
        return {"upstream_tls": {"ca_file": str(self._authority.trusted)}, **own}

    def _after(self, hop: str) -> tuple[str, ...]:
        later = self._chain.hops[self._chain.hops.index(hop) + 1 :]
        return later[:1] or self._chain.instances
