import pytest

from badgateway_proxy.error_types import ERROR_TABLE, ErrorType
from badgateway_proxy.policies.profiles import PROFILES, Profile


@pytest.mark.parametrize("profile", list(PROFILES.values()), ids=list(PROFILES))
@pytest.mark.parametrize("error", list(ErrorType))
def test_every_profile_has_a_status_for_every_error(profile: Profile, error: ErrorType) -> None:
    assert 400 <= profile.status_for(error) <= 599


def test_the_rfcs_profile_is_the_table() -> None:
    profile = PROFILES["rfc9209"]
    for error, info in ERROR_TABLE.items():
        if info.status is not None:
            assert profile.status_for(error) == info.status
    assert profile.status_for(ErrorType.HTTP_REQUEST_ERROR) == 400


def test_what_was_found_to_fit_comes_first() -> None:
    assert PROFILES["rfc9209"].status_for(ErrorType.HTTP_REQUEST_ERROR, 431) == 431


def test_a_profile_is_called_what_it_is() -> None:
    assert all(profile.name == name for name, profile in PROFILES.items())
