"""Which session a request belongs to: one hop serves several people or test workers, and each asks only for its own
records.

Pure. The name travels as the member `badgateway-session` of the baggage field (W3C Baggage section 3.3), which services
between a test and the hop pass on by themselves where they are traced, or as X-Badgateway-Session.
"""

import re
from collections.abc import Mapping, Sequence

FIELDS = frozenset((b"baggage", b"x-badgateway-session"))

_NAME = re.compile(rb"[A-Za-z0-9._~-]{1,64}")
_MEMBER = re.compile(rb"(?:^|,)[ \t]*badgateway-session[ \t]*=[ \t]*([A-Za-z0-9._~-]{1,64})[ \t]*(?=[;,]|$)")


def session_of(fields: Mapping[bytes, Sequence[bytes]]) -> str | None:
    """The session that a request names, if any; what is no name of one is none.

    Args:
        fields: values by field name in lower case. X-Badgateway-Session goes before baggage.
    """
    for value in fields.get(b"x-badgateway-session", ()):
        if _NAME.fullmatch(value):
            return value.decode()
    for value in fields.get(b"baggage", ()):
        if member := _MEMBER.search(value):
            return member[1].decode()
    return None
