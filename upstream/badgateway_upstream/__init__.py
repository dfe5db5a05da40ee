"""The fake upstream app of badgateway: a small healthy shop, and everything that can be wrong with one.

Run it with ``python -m badgateway_upstream``.
"""

from __future__ import annotations

from badgateway_upstream import faults as _faults
from badgateway_upstream.config import InstanceConfig
from badgateway_upstream.durations import Duration
from badgateway_upstream.engine.registry import FAULTS, FaultSpec, FaultType
from badgateway_upstream.near_addresses import is_near
from badgateway_upstream.running import run_instance

_faults.register_all()

__all__ = ["FAULTS", "Duration", "FaultSpec", "FaultType", "InstanceConfig", "is_near", "run_instance"]
