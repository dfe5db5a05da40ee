"""One hop of a chain: an HTTP gateway that says why it failed. Its public names are those of ``__all__``."""

from badgateway_proxy.configuration.config import (
    IMMUTABLE,
    ConfigError,
    ConfigProblem,
    HopConfig,
    load_config,
    unknown_endpoints,
)
from badgateway_proxy.configuration.durations import Duration, format_duration, parse_duration
from badgateway_proxy.errors import ERROR_TABLE, ErrorInfo, ErrorType
from badgateway_proxy.transport.proxy_status import ProxyStatusMember, decided_by, parse_proxy_status

__all__ = [
    "ERROR_TABLE",
    "IMMUTABLE",
    "ConfigError",
    "ConfigProblem",
    "Duration",
    "ErrorInfo",
    "ErrorType",
    "HopConfig",
    "ProxyStatusMember",
    "decided_by",
    "format_duration",
    "load_config",
    "parse_duration",
    "parse_proxy_status",
    "run_hop",
    "unknown_endpoints",
]


def run_hop(config: HopConfig) -> int:
    """Run one hop until it is told to stop (SIGTERM, SIGINT, or stdin's end); return its exit status.

    Blocks, with an event loop of its own. 0: stopped as asked. 3: a port is taken.
    """
    from badgateway_proxy.process import serve  # noqa: PLC0415 - aiohttp is dear; who only wants names need not load it

    return serve.run_hop(config)
