"""Having no file descriptor left, in this very process."""

from __future__ import annotations

import errno
import os
import resource
import socket

import pytest

from badgateway_upstream.engine.descriptors import Descriptors


def test_everything_is_used_up_and_given_back() -> None:
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = Descriptors().state()["open"]
    descriptors = Descriptors()
    assert descriptors.take_the_rest() == ""
    shown = descriptors.exhaust(before + 40)
    try:
        refused = _refused()
        state = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        descriptors.restore()
    assert refused == errno.EMFILE
    assert state == (before + 40, usual[1])
    assert f"RLIMIT_NOFILE is {before + 40}, " in shown
    assert shown.endswith("open() says: [Errno 24] Too many open files: '/dev/null'")
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == usual
    assert Descriptors().state()["open"] == before
    descriptors.restore()


def test_what_is_closed_meanwhile_is_taken_too_and_the_control_api_goes_on() -> None:
    descriptors = Descriptors()
    one = os.open(os.devnull, os.O_RDONLY)
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
        descriptors.exhaust(Descriptors().state()["open"] + 20)
        try:
            os.close(one)
            descriptors.take_the_rest()
            refused = _refused()
            with pytest.raises(OSError, match="Too many open files"):
                listening.accept()
            accepted, _ = descriptors.accept(listening)
            accepted.close()
            again = _refused()
        finally:
            descriptors.restore()
    assert (refused, again) == (errno.EMFILE, errno.EMFILE)


def test_the_limit_is_never_raised() -> None:
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = Descriptors()
    few = Descriptors().state()["open"] + 10
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, usual[1]))
    try:
        shown = descriptors.exhaust(4096)
        descriptors.restore()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == few
    finally:
        descriptors.restore()
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    assert f"RLIMIT_NOFILE is {few}, " in shown


def _refused() -> int | None:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno
    return None
