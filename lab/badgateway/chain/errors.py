"""What a running lab can refuse or meet; the command line and the control API turn each into a code."""

from __future__ import annotations


class LabError(Exception):
    """Base of both; its text is one message for a person, complete with what to do about it."""


class InvalidRequest(LabError):
    """What was asked cannot be: unknown target, unknown fault, wrong attribute (exit 2, HTTP 400)."""


class EnvironmentProblem(LabError):
    """A port is taken, a process died, or one does not answer (exit 3, HTTP 503)."""
