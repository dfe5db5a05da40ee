"""HTTP dates: read as strictly as RFC 9110 section 5.6.7 defines its three formats, but for upper and lower case.

Pure. What is none of the three is no date: an Expires that cannot be read is in the past (RFC 9111 section 5.3).
"""

from __future__ import annotations

import re
from calendar import timegm
from datetime import datetime
from functools import lru_cache
from typing import Final

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), start=1
    )
}
_MONTH: Final = b"(" + b"|".join(_MONTHS) + b")"
_TIME: Final = rb"([0-9]{2}):([0-9]{2}):([0-9]{2})"
_IMF: Final = re.compile(
    rb"(?:mon|tue|wed|thu|fri|sat|sun), ([0-9]{2}) " + _MONTH + rb" ([0-9]{4}) " + _TIME + b" gmt", re.IGNORECASE
)
_RFC_850: Final = re.compile(
    rb"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday), ([0-9]{2})-"
    + _MONTH
    + rb"-([0-9]{2}) "
    + _TIME
    + b" gmt",
    re.IGNORECASE,
)
_ASCTIME: Final = re.compile(
    rb"(?:mon|tue|wed|thu|fri|sat|sun) " + _MONTH + rb" ([ 0-9][0-9]) " + _TIME + rb" ([0-9]{4})", re.IGNORECASE
)
_CENTURY: Final = 100
_LAST_OF_THIS_CENTURY: Final = 76


@lru_cache(maxsize=1024)
def parse_date(text: bytes) -> float | None:
    """Seconds since the epoch, None for what is no date. A two-digit year is one of 1977 to 2076."""
    text = text.strip(b" \t")
    if (match := _IMF.fullmatch(text)) or (match := _RFC_850.fullmatch(text)):
        day, month, year, *time = match.groups()
    elif match := _ASCTIME.fullmatch(text):
        month, day, *time, year = match.groups()
    else:
        return None
    full = int(year)
    if full < _CENTURY:
        full += 2000 if full <= _LAST_OF_THIS_CENTURY else 1900
    try:
        moment = datetime(full, _MONTHS[month.lower()], int(day), int(time[0]), int(time[1]), min(int(time[2]), 59))  # noqa: DTZ001 - all HTTP dates are in GMT, which timegm below reads it as
    except ValueError:
        return None
    return float(timegm(moment.timetuple()))
