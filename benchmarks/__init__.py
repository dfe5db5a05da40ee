"""Every figure that the README quotes, measured by one command: ``python -m benchmarks [NAME…]``.

One module per figure; each has a ``measure(effort) -> Figure``. Everything runs on loopback, is bounded in
count and in time, and ends its processes by pid.
"""
