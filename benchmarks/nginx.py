"""nginx, as the upstream that answers and as the proxy to be compared with. One worker each."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.machine import find_tool
from benchmarks.origin import SMALL
from benchmarks.stage import Child, Stage, free_port, wait_for_port

_FRAME = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log {access_log};
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{rest}
}}
"""
_UPSTREAM = """\
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    location / {{ return 200 '{body}'; }}
    location /numbered {{ add_header X-Response $request_id; return 200 '{body}'; }}
  }}
"""
# What a careful operator sets: HTTP/1.1, kept connections to the upstream, and headers that our hop adds too.
_PROXY = """\
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-ID $request_id;
    }}
  }}
"""

# Keys and metadata in shared memory, bodies in files, which the kernel keeps in memory: as nginx comes.
_CACHING_PROXY = """\
  proxy_cache_path {folder}/cache keys_zone=bench:10m max_size=64m inactive=1h;
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  sendfile on;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_cache bench;
      proxy_cache_valid 200 1h;
      proxy_cache_lock on;
      add_header X-Cache-Status $upstream_cache_status;
      add_header X-Request-ID $request_id;
    }}
  }}
"""


def start_upstream(stage: Stage, *, cpu: int) -> tuple[Child, int]:
    """A server of 1 KiB of JSON; returns it and its port. Below /numbered no two heads of its responses are alike."""
    port = free_port()
    return _start(
        stage, "upstream", port, _UPSTREAM.format(port=port, body=SMALL.decode()), access_log="off", cpu=cpu
    ), port


def start_proxy(stage: Stage, upstream: int, *, cpu: int, access_log: bool) -> tuple[Child, int]:
    """A proxy before the port ``upstream``; returns it and its port."""
    port = free_port()
    name = "proxy-logging" if access_log else "proxy"
    log = f"{stage.folder}/{name}-access.log combined" if access_log else "off"
    return _start(stage, name, port, _PROXY.format(port=port, upstream=upstream), access_log=log, cpu=cpu), port


def start_caching_proxy(stage: Stage, upstream: int, *, cpu: int) -> tuple[Child, int]:
    """A proxy that answers from its cache, before the port ``upstream``; returns it and its port."""
    port = free_port()
    rest = _CACHING_PROXY.format(port=port, upstream=upstream, folder=stage.folder / "caching")
    return _start(stage, "caching", port, rest, access_log="off", cpu=cpu), port


def _start(stage: Stage, name: str, port: int, rest: str, *, access_log: str, cpu: int) -> Child:
    binary = find_tool("nginx")
    if binary is None:
        raise FileNotFoundError("nginx is not installed")
    folder: Path = stage.folder / name
    folder.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""  # else the worker could not write to our private folder
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _FRAME.format(folder=folder, user=user, access_log=access_log, rest=rest), encoding="utf-8"
    )
    child = stage.spawn([binary, "-c", str(configuration), "-p", str(folder), "-e", "stderr"], cpu=cpu)
    wait_for_port(port, child)
    return child
