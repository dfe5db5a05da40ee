"""What a running lab can refuse or meet. The command line and the control API turn each into an exit code or a status."""

from __future__ import annotations


class LabError(Exception):
    """Base of both; its text is one message for a person, complete with what to do about it."""


class InvalidRequest(LabError):
    """What was asked of the lab cannot be: unknown target, unknown fault, wrong attribute (exit 2, HTTP 400)."""


class EnvironmentProblem(LabError):
    """What was asked is fine, but a port is taken, a process died, or one does not answer (exit 3, HTTP 503)."""
