"""The waterfall of the HTML report shows the rows that a terminal shows."""

from __future__ import annotations

import re

from badgateway.reports.waterfalls import waterfall
from badgateway.terminal.waterfall import rows
from tests.support.tracerecords import hung as trace


def test_each_row_has_its_label_its_bars_and_its_outcome() -> None:
    shown = waterfall(trace())
    for row in rows(trace(), {}):
        assert row.label in shown
        assert row.outcome in shown
    assert len(re.findall("<tr>", shown)) == len(rows(trace(), {}))


def test_a_request_that_nobody_recorded_has_none() -> None:
    nobody = trace()
    nobody.hops.clear()
    assert waterfall(nobody) == ""
