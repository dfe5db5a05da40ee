"""How many retries may be under way at once: a share of all requests, so that retries cannot become a storm. Pure."""

from __future__ import annotations

from badgateway_proxy.configuration.settings import RetryBudgetSettings


class RetryBudget:
    """Envoy's retry_budget: active retries ≤ max(min_concurrency, percent of the active requests, rounded down).

    It bounds what retries add to the load to ``percent``, however much fails and however many attempts each
    exchange may make. A retry is active from the decision to try again until its exchange decides anew, or is over.
    """

    def __init__(self, settings: RetryBudgetSettings) -> None:
        self.settings = settings
        self.active = 0
        """Retries under way."""
        self.refused = 0
        """Retries that there was no budget for, since the start or the last reset."""

    def try_acquire(self, active_requests: int) -> bool:
        """Take leave for one retry, to be released; False if there is no budget left.

        ``active_requests``: exchanges under way, this one included.
        """
        settings = self.settings
        if self.active >= max(settings.min_concurrency, int(settings.percent * active_requests / 100)):
            self.refused += 1
            return False
        self.active += 1
        return True

    def release(self) -> None:
        """Give back leave that `try_acquire` gave."""
        self.active -= 1
