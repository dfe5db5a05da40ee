"""The lab in tests, with pytest or without: `with badgateway.testing.running() as lab: …`.

Nothing here imports more than the standard library; the chain runs in processes of its own.
"""

from badgateway.testing.exchange import Exchange
from badgateway.testing.fault import Fault
from badgateway.testing.lab import Clock, Lab
from badgateway.testing.nodes import Hop, Process
from badgateway.testing.pool import MakeLab
from badgateway.testing.starting import running

__all__ = ["Clock", "Exchange", "Fault", "Hop", "Lab", "MakeLab", "Process", "running"]
