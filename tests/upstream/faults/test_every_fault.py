"""What holds for all faults."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from badgateway_upstream import FAULTS, FaultSpec
from badgateway_upstream import faults as fault_files
from badgateway_upstream.engine.registry import Script
from badgateway_upstream.wire.steps import parse_steps
from tests.support.proofs import proven

NAMES = frozenset(
    (
        "crash",
        "exit",
        "freeze",
        "stop_listening",
        "disk_full",
        "exhaust_descriptors",
        "leak_memory",
        "out_of_memory",
        "block_event_loop",
        "starve_cpu",
        "slow_query",
        "downstream_hangs",
        "database_locked",
        "broken_database",
        "accept_queue_full",
        "boot_slowly",
        "crash_loop",
        "close_on_accept",
        "reset_on_accept",
        "empty_response",
        "reset_before_response",
        "reset_mid_response",
        "hang",
        "slow_head",
        "drip",
        "truncate",
        "truncate_chunked",
        "stall",
        "garbage",
        "not_http",
        "bad_status_line",
        "bad_header",
        "oversized_header",
        "too_many_headers",
        "two_content_lengths",
        "content_length_and_chunked",
        "bad_chunk_size",
        "bad_chunk_size_later",
        "surplus_bytes",
        "bad_gzip",
        "continue_then_hang",
        "early_hints",
        "unasked_upgrade",
        "wrong_http_version",
        "dns_nxdomain",
        "dns_servfail",
        "dns_silent",
        "dns_wrong_address",
        "tls_alert",
        "tls_alpn_mismatch",
        "tls_client_certificate",
        "tls_expired_certificate",
        "tls_garbage",
        "tls_handshake_alert",
        "tls_handshake_hang",
        "tls_old_version",
        "tls_plaintext",
        "tls_untrusted_issuer",
        "tls_wrong_name",
        "http2_preface",
        "keepalive_race",
        "latency",
        "bandwidth",
        "slicer",
        "slow_close",
        "limit_data",
        "reset_peer",
        "timeout",
        "exception",
        "script",
    )
)


def spec(name: str) -> FaultSpec:
    more = {"steps": ["close"]} if name == "script" else {}
    return FaultSpec.model_validate({"kind": name, **more})


def test_all_faults_are_there() -> None:
    assert set(FAULTS) == NAMES


def test_every_fault_is_proven_on_the_wire() -> None:
    assert set(proven(Path(__file__).parent)) == set(FAULTS)


def test_each_fault_has_a_file_of_its_own() -> None:
    files = {file.stem for file in Path(fault_files.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(FAULTS)


def test_no_fault_is_named_outside_its_own_file() -> None:
    package = Path(fault_files.__file__).parent.parent
    # Names that are also plain words or the names of steps and attributes prove nothing.
    telling = {name for name in FAULTS if "_" in name}
    uses = Counter[str]()
    for file in package.rglob("*.py"):
        for name in telling:
            if file.stem != name and f'"{name}"' in file.read_text():
                uses[f"{file.name}: {name}"] += 1
    assert not uses


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_fault_describes_itself(name: str) -> None:
    fault = FAULTS[name]
    assert fault.name == name
    assert fault.summary.endswith(".")
    assert fault.attributes.model_json_schema()["properties"]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_fault_works_with_its_defaults(name: str) -> None:
    made = spec(name)
    effect = FAULTS[name].effect
    if isinstance(effect, Script):
        assert parse_steps(effect.steps(made))
    assert FaultSpec.model_validate(made.model_dump(mode="json")) == made


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_fault_refuses_what_it_does_not_know(name: str) -> None:
    data = spec(name).model_dump(mode="json")
    with pytest.raises(ValueError, match="unknown attribute 'wen'; did you mean 'when'"):
        FaultSpec.model_validate({**data, "wen": {}})


def test_respawn_is_data_for_an_instance_config() -> None:
    slow = FaultSpec.model_validate({"kind": "boot_slowly", "boot_delay": "2s"})
    loop = FaultSpec.model_validate({"kind": "crash_loop"})
    assert FAULTS["boot_slowly"].respawn(slow) == {"boot_delay": "2s"}
    assert FAULTS["crash_loop"].respawn(loop) == {"crash_after": "500ms"}
    assert FAULTS["crash"].respawn(spec("crash")) is None
