"""``python -m badgateway_upstream``."""

from __future__ import annotations

from badgateway_upstream.cli import main

if __name__ == "__main__":
    main()
