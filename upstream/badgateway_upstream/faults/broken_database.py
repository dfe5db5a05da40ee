"""The app's database queries fail: a table is gone, the file is corrupt, or nothing can be written."""

from __future__ import annotations

from typing import Literal

from badgateway_upstream.engine.registry import FaultSpec, FaultType, Process, register


class BrokenDatabase(FaultSpec):
    """Attributes of `broken_database`."""

    kind: Literal["broken_database"] = "broken_database"
    how: Literal["missing_table", "corrupt", "read_only"] = "missing_table"
    """What is wrong: the table of products is gone, a page of it is no longer what was written, or it is read-only."""


register(
    FaultType(
        name="broken_database",
        category="process",
        summary="Has the instance work on a damaged copy of its database: SQLite refuses queries, each of them a 500.",
        provokes=None,
        attributes=BrokenDatabase,
        effect=Process(
            lambda spec, process, seconds: process.damage_database(spec.how),
            lambda spec, process: process.mend_database(),
        ),
    )
)
