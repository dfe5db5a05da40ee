"""One file per command of `badgateway`; each holds a click command called `command`. `badgateway.cli` loads them."""
