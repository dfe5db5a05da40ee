"""What every test can rely on, however the tests were started."""

import os
import signal

from hypothesis import HealthCheck, settings

# A shell starts what runs in the background (`make test &`) with SIGINT ignored, and ignored it stays in every child:
# no Ctrl-C that a test sends would arrive.
signal.signal(signal.SIGINT, signal.default_int_handler)

# An example that takes long tells of a busy machine, here as in CI, for which hypothesis has a profile of its own.
settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if "CI" not in os.environ:
    settings.load_profile("desk")
