from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from badgateway_proxy.policies.balancer import EndpointState
from badgateway_proxy.policies.maglev import Maglev, hash_of
from tests.support.endpoints import endpoints

SLOTS = 2039


def maglev(among: list[EndpointState], slots: int = SLOTS) -> Maglev:
    return Maglev(among, random.Random(1).random, slots)


def homes(balancer: Maglev, keys: int) -> list[EndpointState]:
    pick = balancer.pick
    return [pick(key=b"user-%d" % n) for n in range(keys)]


def test_a_hash_is_the_same_everywhere() -> None:
    assert hash_of(b"user-1") == 0x9AAC5A8621EAE188


def test_the_same_key_goes_to_the_same_endpoint_in_every_hop() -> None:
    among = endpoints(1, 1, 1)
    assert homes(maglev(among), 500) == homes(maglev(among), 500)
    assert set(homes(maglev(among), 500)) == set(among)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16])
def test_slots_are_shared_out_evenly(count: int) -> None:
    shares = maglev(endpoints(*[1] * count)).shares().values()
    assert max(shares) - min(shares) <= 1 / SLOTS + 1e-9


def test_slots_are_shared_out_by_weight() -> None:
    shares = list(maglev(endpoints(1, 2, 5)).shares().values())
    assert shares == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.005)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_little_moves_when_an_endpoint_leaves_or_comes(count: int) -> None:
    """Who lived at the one that left must move, and of the others hardly anybody; with a modulo nearly all would."""
    among = endpoints(*[1] * count)
    balancer, keys = maglev(among), 50_000
    before = homes(balancer, keys)
    gone = among[1]
    balancer.update([each for each in among if each is not gone])
    after = homes(balancer, keys)
    moved = [old for old, new in zip(before, after, strict=True) if old is not new]
    assert gone not in after
    assert moved.count(gone) == before.count(gone)
    assert (len(moved) - moved.count(gone)) / keys < 0.08
    balancer.update(among)
    assert homes(balancer, keys) == before


def test_a_larger_table_moves_less() -> None:
    among = endpoints(*[1] * 10)
    needless = []
    for slots in (211, 2039, 16381):
        before, after = maglev(among, slots), maglev(among[1:], slots)
        pairs = zip(before._table, after._table, strict=True)
        needless.append(sum(old is not new and old is not among[0] for old, new in pairs) / slots)
    assert needless[0] > needless[1] > needless[2]
    assert needless[2] < 0.03


def test_a_retry_goes_elsewhere_the_same_way_every_time() -> None:
    among = endpoints(1, 1, 1, 1)
    balancer = maglev(among)
    for key in (b"a", b"b", b"c"):
        home = balancer.pick(key=key)
        second = balancer.pick([home], key=key)
        third = balancer.pick([home, second], key=key)
        assert len({home, second, third}) == 3
        assert balancer.pick([home], key=key) is second
        assert balancer.pick(among, key=key) is home


def test_without_a_key_anything_goes() -> None:
    among = endpoints(1, 1, 1)
    balancer = maglev(among)
    assert {balancer.pick() for _ in range(100)} == set(among)
    assert {balancer.pick([among[0]]) for _ in range(100)} == set(among[1:])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.sampled_from([11, 101, 211]), st.binary(max_size=20))
def test_the_table_is_always_full_and_a_key_always_has_a_home(weights: list[int], slots: int, key: bytes) -> None:
    among = endpoints(*weights)
    balancer = maglev(among, slots)
    assert sum(balancer.shares().values()) == pytest.approx(1)
    home = balancer.pick(key=key)
    assert home in among
    assert len(among) == 1 or balancer.pick([home], key=key) in among
