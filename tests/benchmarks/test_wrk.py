"""What wrk prints is read right, failures included."""

import pytest

from benchmarks import wrk

REPORT = """\
Running 4s test @ http://127.0.0.1:8080/products
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   429.70us   80.01us   5.32ms   94.45%
    Req/Sec    74.61k     3.10k   79.53k    87.50%
  Latency Distribution
     50%  417.00us
     75%  450.00us
     90%  480.00us
     99%    1.20ms
  296948 requests in 4.00s, 361.12MB read
{errors}Requests/sec:  74220.64
Transfer/sec:     90.26MB
"""


def test_a_clean_report() -> None:
    load = wrk.parse(REPORT.format(errors=""))
    assert (load.requests, load.seconds, load.rate, load.failed) == (296948, 4.0, 74220.64, 0)
    assert load.p50 == pytest.approx(417e-6)
    assert load.p99 == pytest.approx(1.2e-3)


def test_socket_errors_and_other_statuses_count_as_failed() -> None:
    errors = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 90\n"
    assert wrk.parse(REPORT.format(errors=errors)).failed == 100


def test_a_run_longer_than_a_minute() -> None:
    assert wrk.parse(REPORT.format(errors="").replace("4.00s", "1.50m")).seconds == 90.0


def test_anything_else_is_refused() -> None:
    with pytest.raises(ValueError, match="not wrk's report"):
        wrk.parse("unable to connect to 127.0.0.1:8080 Connection refused\n")
