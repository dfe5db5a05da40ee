"""Wire scripts as people write them."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from badgateway_upstream.strict import problems_of
from badgateway_upstream.wire.steps import Close, Hang, Pause, Respond, Send, parse_steps

SCRIPT = """
- send: 'HTTP/1.1 200 OK\\r\\n\\r\\n'
- pause: 100ms
- drip: {send: {random: 10}, bytes: 2, every: 50ms}
- read: all
- read: 10
- respond: {part: head}
- respond: {part: body, to: 50%, drip: {bytes: 1, every: 1s}}
- respond
- hang
- close
"""


def test_yaml() -> None:
    steps = parse_steps(YAML(typ="safe", pure=True).load(SCRIPT))
    assert isinstance(steps[0], Send)
    assert isinstance(steps[1], Pause)
    assert steps[1].pause == 0.1
    assert isinstance(steps[7], Respond)
    assert isinstance(steps[8], Hang)
    assert isinstance(steps[9], Close)
    assert parse_steps([step.model_dump(mode="json") for step in steps]) == steps


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([], "at least 1"),
        (["close", "hang"], "ends the connection"),
        ([{"reset": None}, {"pause": "1s"}], "ends the connection"),
        (["clos"], "[0]: unknown step 'clos'; did you mean 'close'?"),
        ([{"paus": "1s"}], "[0]: unknown step 'paus'; did you mean 'pause'?"),
        ([{"pause": 1}], "[0].pause: a duration needs a unit"),
        ([{"pause": "1s", "hang": None}], "[0]: must be one step"),
        ([3], "[0]: must be one step"),
        (["close", 3], "[1]: must be one step"),
        ([{"close": 3}], "[0]: close takes nothing"),
        ([{"close": {"now": 1}}], "[0]: close takes nothing"),
        ([{"respond": {"prt": "head"}}], "[0].respond.prt: unknown attribute 'prt'; did you mean 'part'?"),
        ([{"respond": {"header": {"repeat": {"send": "xx", "times": 600_000}}}}], "a mebibyte at most"),
        ([{"respond": {"to": "half"}}], "such as 50%"),
        ([{"respond": {"to": "101%"}}], "such as 50%"),
        ([{"drip": {"send": "a", "every": "0s"}}], "[0].drip.every: this duration must be longer than 0s"),
        ([{"read": "some"}], "'head' or 'all'"),
        (["hang"] * 1001, "at most 1000"),
    ],
)
def test_wrong_scripts_are_refused(steps: Any, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        parse_steps(steps)
    problems = problems_of(caught.value)  # type: ignore[arg-type]  # a ValidationError is a ValueError
    assert any(problem in line for line in problems), problems
