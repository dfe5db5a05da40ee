"""The documentation as something that runs: its generated parts, its commands and its picture."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(
        ROOT / "docs" / name
        for name in (
            "api.md",
            "catalogue.md",
            "ci.md",
            "cli.md",
            "compose.md",
            "errors.md",
            "faults.md",
            "hop.md",
            "scenarios.md",
        )
    ),
)
"""Every page that is held to what badgateway does."""
