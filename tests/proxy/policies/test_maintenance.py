from __future__ import annotations

import pytest

from badgateway_proxy.configuration.admission import MaintenanceSettings
from badgateway_proxy.policies.maintenance import Maintenance


@pytest.mark.parametrize(
    ("now", "seconds"), [(100.0, 600.0), (400.0, 300.0), (699.5, 0.5), (700.0, 30.0), (9000.0, 30.0)]
)
def test_retry_after_counts_down_and_is_never_over(now: float, seconds: float) -> None:
    maintenance = Maintenance(MaintenanceSettings.model_validate({"lasts": "10m", "overrun": "30s"}), 100.0)
    assert maintenance.retry_after(now) == seconds
