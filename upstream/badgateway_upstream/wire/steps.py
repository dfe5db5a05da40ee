"""The steps of a wire script, as data. `player` plays them; people write them in YAML."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, SerializeAsAny, TypeAdapter, model_serializer, model_validator

from badgateway_upstream.durations import Duration, PositiveDuration
from badgateway_upstream.strict import Strict, did_you_mean, refusal
from badgateway_upstream.wire.payloads import EscapedText, Payload

MOST_STEPS: Final = 1000
LARGEST_HEADER: Final = 1 << 20
"""Bytes that a script may put into a head, which is held in memory."""


def _percent(text: str) -> str:
    digits = text.removesuffix("%")
    if digits == text or not digits.isascii() or not digits.isdecimal() or int(digits) > 100:
        raise ValueError("must be a number of bytes (negative: from the end), or a share such as 50%")
    return text


Cut = Annotated[int, Field(strict=True)] | Annotated[str, Field(max_length=8), AfterValidator(_percent)]
"""Where to cut: after so many bytes, before the last so many (negative), or after a share such as ``50%``."""


class Step(Strict):
    """One step. As data: a word (``close``), or a mapping with that word as its only key (``{pause: 1s}``)."""

    @classmethod
    def choose(cls, data: object) -> type[Strict]:
        """The class for ``data``; raises ValidationError when it is no step."""
        if cls is not Step:
            return cls
        if not isinstance(data, str | dict) or (isinstance(data, dict) and len(data) != 1):
            raise refusal("step", (), f"must be one step, such as close or {{pause: 1s}}; {_known('')}", data)
        word = data if isinstance(data, str) else next(iter(data))
        if word not in _STEPS:
            raise refusal("step", (), f"unknown step {word!r}; {_known(word)}", data)
        return _STEPS[word]


def _known(word: object) -> str:
    return did_you_mean(word, _STEPS)


class Send(Step):
    """Send these bytes. Sends that follow each other without a wait go out in one packet as far as they fit."""

    send: SerializeAsAny[Payload]


class Pause(Step):
    """Wait. Ends early when the fault ends."""

    pause: Duration


class Dripping(Strict):
    """How to send little by little: so many bytes per interval."""

    bytes: int = Field(default=1, ge=1)
    every: PositiveDuration = 0.1


class DripOf(Dripping):
    """What to send little by little."""

    send: SerializeAsAny[Payload]


class Drip(Step):
    """Send these bytes little by little."""

    drip: DripOf


class Read(Step):
    """Read on from the request's body: n bytes of it, or all. The head was read already."""

    read: Annotated[int, Field(ge=0)] | Literal["head", "all"]


class _Word(Step):
    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, data: Any) -> Any:
        word = cls.__name__.lower()
        if data not in (word, {word: None}):
            raise ValueError(f"{word} takes nothing: write it as a word")
        return {}

    @model_serializer
    def _as_word(self) -> str:
        return type(self).__name__.lower()


class Close(_Word):
    """Close the connection in an orderly way (FIN), after everything before it was sent."""


class Reset(_Word):
    """Break the connection off (RST), after everything before it was handed to the kernel."""


class Hang(_Word):
    """Do nothing until the fault ends or the peer leaves."""


class Answering(Strict):
    """Which part of the app's true answer to send, and what to change about it.

    The answer is sent once: a second `respond` goes on where the first stopped, and what is changed is up to the
    first. `to` cuts the part short.
    `status_line` replaces the first line, `version` only its HTTP version, `header` is put in before the end of the
    head (give it its own line ends). `framing` sends the body chunked, or ended by closing (`close`).
    """

    part: Literal["all", "head", "body"] = "all"
    to: Cut | None = None
    drip: Dripping | None = None
    status_line: EscapedText | None = None
    version: EscapedText | None = None
    header: SerializeAsAny[Payload] | None = None
    framing: Literal["chunked", "close"] | None = None

    @model_validator(mode="after")
    def _held(self) -> Self:
        if self.header is not None and (self.header.size() or 0) > LARGEST_HEADER:
            raise ValueError("a header may have a mebibyte at most")
        return self


class Respond(Step):
    """Send the app's true answer, wholly or in part."""

    respond: Answering = Answering()

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, data: Any) -> Any:
        return {} if data in ("respond", {"respond": None}) else data


_STEPS: Final[dict[str, type[Step]]] = {
    "send": Send,
    "pause": Pause,
    "drip": Drip,
    "read": Read,
    "close": Close,
    "reset": Reset,
    "hang": Hang,
    "respond": Respond,
}


def _reachable(steps: list[Step]) -> list[Step]:
    for number, step in enumerate(steps[:-1]):
        if isinstance(step, Close | Reset):
            word = type(step).__name__.lower()
            raise ValueError(  # noqa: TRY004 - for pydantic, which lets a TypeError escape
                f"step {number} ({word}) ends the connection; nothing can follow it"
            )
    return steps


Steps = Annotated[list[SerializeAsAny[Step]], Field(min_length=1, max_length=MOST_STEPS), AfterValidator(_reachable)]
"""A whole wire script: 1 to 1000 steps; `close` and `reset` only at its end."""

_ADAPTER: Final[TypeAdapter[list[Step]]] = TypeAdapter(Steps)


def parse_steps(data: object) -> list[Step]:
    """Return the steps that ``data`` (as read from YAML or JSON) describes. Raises pydantic.ValidationError."""
    return _ADAPTER.validate_python(data)
