from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badgateway.inputs.problems import InvalidInput
from badgateway.scenario.model import load_scenario, load_scenarios, parse_scenario
from badgateway.scenario.steps import ACTIONS, STEPS, FaultStep, RequestStep

GOOD = """\
# yaml-language-server: $schema=…
title: The app crashed
code: 502
causes: [connection_refused]
story: What happened, in a few sentences.
chain:
  lb: {retry: {attempts: 1}, timeouts: {connect: 500ms, first_byte: 1s}}
  app: {instances: 1}
steps:
  - request: GET /products
    expect: {status: 200, decided_by: app}
  - fault: {target: app, kind: crash}
  - request: GET /products
    expect: {status: 502, decided_by: lb, error: connection_refused, within: 500ms, attempts: {lb: 1}}
traffic:
  - {for: 20s, rate: 50/s, arrivals: poisson, path: /products}
timeline:
  - {at: 5s, target: app, fault: hang, for: 8s}
expect:
  - {during: 6s..12s, that: "share(status=504, decided_by=lb) > 95%"}
  - {after: 15s, that: "p95 < 300ms"}
lesson: {predict: a, explain: b, debug: [c], fix: d}
"""


def test_the_designs_own_example_is_a_scenario(tmp_path: Path) -> None:
    path = tmp_path / "app-crashed.yaml"
    path.write_text(GOOD)
    scenario = load_scenario(path)
    assert scenario.id == "502/app-crashed"
    assert scenario.file == str(path)
    assert scenario.position("steps", 1) == (12, 5)
    first, fault, _ = scenario.steps
    assert isinstance(first, RequestStep)
    assert str(first.request) == "GET /products"
    assert isinstance(fault, FaultStep)
    assert (fault.fault.target, fault.fault.spec) == ("app", {"kind": "crash"})
    [moment] = scenario.timeline
    assert isinstance(moment.action, FaultStep)
    assert moment.action.fault.spec == {"kind": "hang", "for": "8s"}
    assert [str(e.window) for e in scenario.expect] == ["6s..12s", "15s.."]
    assert scenario.deadline == 60.0


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse_scenario(text, file="s.yaml")
    return str(caught.value).splitlines()


WRONG = """\
titel: The app crashed
code: "502"
chain:
  lb: {retry: {attempst: 1}, timeouts: {connect: 500, first_bite: 1s}, listen: {port: 1}}
  cdn:
  app: {instances: 99, bakclog: 3}
  waf: {}
steps:
  - request: GET /products
    expect: {status: foo, decided_by: lbb, error: connection_refusd, within: 5, attempts: {lbb: 1}, heder: {}}
  - fault: {target: app-33, kind: crsh}
  - fault: {target: lb, kind: hang}
  - {fault: hangg, target: ap, for: 8}
  - reqest: GET /
  - {request: GET /, fault: hang}
  - request: products
  - {advance: 30}
  - {advance: 30s, expect: {status: 200}}
  - {patch: {lbb: {a: 1}, lb: {timeouts: {frist_byte: 1s}}}}
  - {breaker: {lb: opn}}
  - 5
  - {note: hi}
  - {pause: 10s}
  - {restart: ap-1}
  - {clear: evrything}
  - {fault: latency, target: app, latancy: 5s, when: {pth: /x, percentage: 500}}
  - {request: {path: /, to: lbb, tims: 5}}
  - {deploy: {app-33: {debug: true}}}
  - {deploy: {app: {debugg: true, listen: {port: 1}}}}
traffic:
  - {for: 20s, rate: 50, arrivals: poison, path: products, to: app}
timeline:
  - {at: 5, target: app, fault: hangg, for: 8s}
  - {target: app, fault: hang, for: 8s}
  - {at: 1s, pause: 1s}
expect:
  - {during: 12s..6s, that: "share(status=504) > 95ms"}
  - {after: 15s, during: 1s..2s, that: "count(decided_by=lbb) > 3"}
lesson: {predikt: a, debug: 1}
"""

TOLD = """\
s.yaml:1:1: titel: unknown key; did you mean "title"?
s.yaml:1:1: title: is required
s.yaml:2:7: code: must be a whole number, not "502"
s.yaml:4:16: chain.lb.retry.attempst: unknown key; did you mean "attempts"?
s.yaml:4:50: chain.lb.timeouts.connect: a duration needs a unit, such as 500ms or 10s
s.yaml:4:55: chain.lb.timeouts.first_bite: unknown key; did you mean "first_byte"?
s.yaml:4:72: chain.lb.listen: is decided by the lab, not by the chain
s.yaml:5:3: chain.cdn: a chain cannot be without its cdn; leave `cdn` out to have it as it is by default
s.yaml:6:20: chain.app.instances: must be at most 16, not 99
s.yaml:6:24: chain.app.bakclog: unknown key; did you mean "backlog"?
s.yaml:7:3: chain.waf: unknown key; known: app, cdn, dns, lb
s.yaml:10:22: steps[0].expect.status: a status is three digits (502), a class (5xx), none, or a list of these
s.yaml:10:39: steps[0].expect.decided_by: there is no tier "lbb"; did you mean "lb"?
s.yaml:10:51: steps[0].expect.error: unknown error type "connection_refusd"; did you mean "connection_refused"?
s.yaml:10:78: steps[0].expect.within: a duration needs a unit, such as 500ms or 10s
s.yaml:10:92: steps[0].expect.attempts.lbb: there is no hop "lbb"; did you mean "lb"?
s.yaml:10:101: steps[0].expect.heder: unknown key; did you mean "header"?
s.yaml:11:21: steps[1].fault.target: there is no target "app-33"; did you mean "app-3"?
s.yaml:11:35: steps[1].fault.kind: unknown fault "crsh"; did you mean "crash"?
s.yaml:12:31: steps[2].fault.kind: "hang" is no fault of a hop; a hop's faults: crash, exit, freeze
s.yaml:13:13: steps[3].fault: unknown fault "hangg"; did you mean "hang"?
s.yaml:13:28: steps[3].target: there is no target "ap"; did you mean "app"?
s.yaml:14:5: steps[4].reqest: unknown key; did you mean "request"?
s.yaml:15:5: steps[5]: a step does one thing; this one has request and fault
s.yaml:16:14: steps[6].request: write a request as GET /products, unlike "products"
s.yaml:17:15: steps[7].advance: a duration needs a unit, such as 500ms or 10s
s.yaml:18:20: steps[8].expect: only a request can expect something
s.yaml:19:14: steps[9].patch.lbb: there is no hop "lbb"; did you mean "lb"?
s.yaml:19:43: steps[9].patch.lb.timeouts.frist_byte: unknown key; did you mean "first_byte"?
s.yaml:20:20: steps[10].breaker.lb: must be force_open, force_closed, reset or disable, not "opn"
s.yaml:21:5: steps[11]: must be a mapping such as {request: GET /products}, not 5
s.yaml:22:5: steps[12]: does nothing; a step has one of: {kinds}
s.yaml:23:13: steps[13].pause: a pause is at most 5s; let policies' time pass with advance
s.yaml:24:15: steps[14].restart: there is no target "ap-1"; did you mean "app-1"?
s.yaml:25:13: steps[15].clear: there is no fault or target "evrything"; did you mean "early_hints"?
s.yaml:26:35: steps[16].latancy: unknown key; did you mean "latency"?
s.yaml:26:55: steps[16].when.pth: unknown key; did you mean "path"?
s.yaml:26:76: steps[16].when.percentage: must be less than or equal to 100
s.yaml:27:29: steps[17].request.to: there is no place to send a request to "lbb"; did you mean "lb"?
s.yaml:27:34: steps[17].request.tims: unknown key; did you mean "times"?
s.yaml:28:15: steps[18].deploy.app-33: there is no instance "app-33"; did you mean "app-3"?
s.yaml:29:21: steps[19].deploy.app.debugg: unknown key; did you mean "debug"?
s.yaml:29:35: steps[19].deploy.app.listen: is decided by the lab, not by the chain
s.yaml:31:22: traffic[0].rate: a rate is requests a second or a minute, such as 50/s or 90/m, not 50
s.yaml:31:36: traffic[0].arrivals: must be constant or poisson, not "poison"
s.yaml:31:50: traffic[0].path: a path starts with / and has no spaces, unlike "products"
s.yaml:31:64: traffic[0].to: there is no place to send a request to "app"; did you mean "app-9"?
s.yaml:33:10: timeline[0].at: a duration needs a unit, such as 500ms or 10s
s.yaml:33:33: timeline[0].fault: unknown fault "hangg"; did you mean "hang"?
s.yaml:34:5: timeline[1].at: is required
s.yaml:35:14: timeline[2].pause: is no step for a timeline; it can have: {actions}
s.yaml:37:14: expect[0].during: the span 12s..6s is empty; the smaller end stands first
s.yaml:37:50: expect[0].that: share is a share, to be compared with something like 95%, not 95ms
    share(status=504) > 95ms
                        ^
s.yaml:38:5: expect[1]: has both during and after; a window is one of them
s.yaml:38:40: expect[1].that: decided_by=lbb: there is no such tier; did you mean "lb"?
s.yaml:39:10: lesson.predikt: unknown key; did you mean "predict"?
s.yaml:39:29: lesson.debug: must be a list, not 1
"""


def test_a_wrong_file_gets_every_error_at_once_with_its_position() -> None:
    assert problems(WRONG) == (
        TOLD.replace("{kinds}", ", ".join(STEPS)).replace("{actions}", ", ".join(ACTIONS)).splitlines()
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("", "s.yaml:1:1: does nothing: it needs steps or traffic"),
        ("steps: [{request: GET /}]\ntimeline: [{at: 1s, clear: all}]", "timeline: needs traffic to run beside"),
        ("traffic: [{for: 1s, rate: 1/s}]\ntimeline: [{at: 2s, clear: all}]", "is after the end of the traffic"),
        ("traffic: [{for: 1s, rate: 1/s}]\nexpect: [{after: 2s, that: p95 < 1s}]", "no request can match"),
        (
            "traffic: [{for: 1s, rate: 1/s}]\nexpect: [{after: 0s}]",
            "expects nothing; it needs that, or alerts",
        ),
        ("traffic: [{for: 1s, rate: 1/s}]\nexpect: [{alerts: {}}]", "expect[0]: expects nothing"),
        (
            "traffic: [{for: 1s, rate: 1/s}]\nexpect: [{alerts: {fired: ErorBudgetBurnFast}}]",
            'fired: there is no alert "ErorBudgetBurnFast"; did you mean "ErrorBudgetBurnFast"?',
        ),
        (
            "traffic: [{for: 9s, rate: 200/s}]\nexpect: [{alerts: {silent: TooManyRequestsBurst}}]",
            "alerts are judged by the hops' records, of which each keeps 1000",
        ),
        ("traffic: [{for: 9m, rate: 1000/s}]", "sends more than 200000 requests"),
        ("traffic: [{for: 1s, rate: 2001/s}]", "at most 2000/s"),
        ("traffic: [{for: 0s, rate: 1/s}]", "lasts more than 0s"),
        ("steps: {request: GET /}", "steps: must be a list, not a mapping"),
        ("steps: [{request: {json: {}, body: x}}]", "has both body and json"),
        ('steps: [{request: {headers: {"a b": x}}}]', "is no header that can be sent"),
        ('steps: [{request: {headers: {A: "x\\ny"}}}]', "is no header that can be sent"),
        ("steps: [{request: {method: G T}}]", "is no HTTP method"),
        ('steps: [{request: {version: "two"}}]', 'such as "2.0"'),
        ("steps: [{request: {version: 2.0}}]", "version"),
        ("steps: [{request: {drip: {bytes: 0, every: 1s}}}]", "drip.bytes"),
        ("steps: [{request: {drip: {bytes: 1}}}]", "drip.every"),
        ("steps: [{request: {drip: {every: 0s}}}]", "longer than 0s"),
        ("steps: [{request: {timeout: 0s}}]", "must be longer than 0s"),
        ("steps: [{request: {session: a, concurrency: 2}}]", "a session's requests come one after the other"),
        ("steps: [{patch: {lb: {balancing: {drain: [ap-1]}}}}]", 'drain[0]: there is no endpoint "ap-1"; did you mean'),
        ("steps: [{patch: {lb: {balancing: {weights: {ap-1: 1}}}}}]", 'weights.ap-1: there is no endpoint "ap-1"'),
        (
            "chain: {lb: {balancing: {drain: [ap-1]}}}\nsteps: [{request: GET /}]",
            "chain.lb.balancing.drain[0]: there is",
        ),
        ("steps: [{request: GET /, expect: {endpoints: {lb: {ap-1: ejected}}}}]", "endpoints.lb.ap-1: there is no"),
        (
            "steps: [{request: GET /, expect: {endpoints: {lb: {app-1: ejectd}}}}]",
            "must be healthy, unhealthy, ejected",
        ),
        ("steps: [{request: GET /, expect: {header: {A: /(/}}}]", "is no regular expression"),
        ("steps: [{fault: {kind: crash}}]", "steps[0].fault.target: is required"),
        ("steps: [{fault: {target: app}}]", "steps[0].fault.kind: is required"),
        ("steps: [{fault: 5}]", "must be a mapping such as {target: app, kind: crash}"),
        ("steps: [{fault: {target: lb, kind: crash, when: {path: /}}}]", "steps[0].fault.when: unknown key"),
        ("steps: [{request: {times: 201}, expect: {attempts: {lb: 1}}}]", "steps[0].request.times: attempts, hops and"),
        ("steps: [{fault: hang, target: app, expect: {}}]", "steps[0].expect: only a request can expect"),
        ("traffic: [{for: 1s, rate: 1/s}]\ntimeline: [{at: 1s, action: x}]", "timeline[0].action: unknown key"),
        ("chain: {app: {faults: []}}\nsteps: [{request: GET /}]", "chain.app.faults: is decided by the lab"),
        (
            "steps: [{purge: {cdn: products}}]",
            'steps[0].purge.cdn: must be all, a path such as /products, or {tag: shop}, not "products"',
        ),
        ("steps: [{purge: {cnd: all}}]", 'steps[0].purge.cnd: there is no hop "cnd"; did you mean "cdn"?'),
        (
            "steps: [{request: GET /, expect: {cache: {cnd: hit}}}]",
            'steps[0].expect.cache.cnd: there is no hop "cnd"; did you mean "cdn"?',
        ),
        ("steps: [{breaker: {}}]", "steps[0].breaker: must have at least 1 entries"),
        (
            "steps: [{request: GET /x, cause: headers}]",
            'steps[0].cause: this request has no "headers" of its own; known: me',
        ),
        ("steps: [{pause: 1s, cause: true}]", "steps[0].cause: unknown key"),
        ("steps: [{fault: crash, target: app, cause: true}]", "steps[0].cause: unknown key"),
        ("steps: [{advance: 1s, cause: 5}]", "steps[0].cause: must be true or false"),
        ("chain_cause: lb.retry\nsteps: [{request: GET /}]", 'chain_cause[0]: the chain sets no "lb.retry"'),
        ("traffic: [{for: 1s, rate: 1/s, cause: true}]", "traffic: has only streams that are a cause"),
        ("chain: {app: null}\nsteps: [{request: GET /}]", "a chain cannot be without its app"),
        ("chain: {app: {instances: 1}}\nsteps: [{restart: app-2}]", 'there is no target "app-2"'),
        (
            "steps: [{fault: {target: app, kind: hang, when: {instance: app-9}}}]",
            's.yaml:3:60: steps[0].fault.when.instance: app has no instance "app-9"; did you mean "app-',
        ),
        (
            "steps: [{fault: hang, target: app-1, when: {instance: app-2}}]",
            's.yaml:3:55: steps[0].when.instance: app-1 has no instance "app-2"; did you mean "app-1"?',
        ),
        (
            "chain: {dns: true}\nsteps: [{fault: dns_servfail, target: dns, when: {instance: app-1}}]",
            'dns has no instance "app-1"; known: dns',
        ),
        (
            "chain: {app: {instances: 1}}\ntraffic: [{for: 1s, rate: 1/s}]\n"
            "timeline: [{at: 0s, fault: hang, target: app, when: {instance: app-2}}]",
            'timeline[0].when.instance: app has no instance "app-2"; did you mean "app-1"?',
        ),
        (
            'steps: [{request: GET /, expect: {that: "count(instance=app-9) == 0"}}]',
            "that: instance=app-9: there is no such instance; did you mean",
        ),
    ],
)
def test_what_each_mistake_is_called(more: str, said: str) -> None:
    assert any(said in line for line in problems(f"title: t\ncode: 502\n{more}\n")), problems(
        f"title: t\ncode: 502\n{more}\n"
    )


@pytest.mark.parametrize("text", ["", "5", "[]", "just text"])
def test_a_file_that_is_no_mapping_says_so(text: str) -> None:
    [problem] = problems(text)
    assert problem.startswith("s.yaml:1:1: must be a mapping (key: value), not")


@pytest.mark.parametrize(("target", "instance"), [("app", "app-3"), ("app-3", "app-3"), ("dns", "dns")])
def test_a_fault_may_be_for_an_instance_that_its_target_has(target: str, instance: str) -> None:
    kind = "dns_servfail" if target == "dns" else "hang"
    fault = f"{{target: {target}, kind: {kind}, when: {{instance: {instance}}}}}"
    more = f"chain: {{dns: true, app: {{instances: 3}}}}\nsteps:\n  - fault: {fault}\n"
    scenario = parse_scenario(f"title: t\ncode: 502\n{more}  - request: GET /\n")
    assert isinstance(scenario.steps[0], FaultStep)
    assert scenario.steps[0].fault.spec["when"] == {"instance": instance}


def test_a_file_that_is_no_yaml_says_where() -> None:
    assert problems("title: x\nsteps: [")[0].startswith("s.yaml:2:9: is no valid YAML")


def test_a_fault_can_be_written_flat_or_nested() -> None:
    flat, nested = (
        parse_scenario(f"title: t\ncode: 502\nsteps:\n  - {step}\n").steps[0]
        for step in (
            "{fault: hang, target: app-1, for: 8s, note: n}",
            "{fault: {kind: hang, target: app-1, for: 8s}, note: n}",
        )
    )
    assert flat == nested


def test_a_directory_is_loaded_whole_and_all_its_problems_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "502").mkdir()
    (tmp_path / "502" / "b.yaml").write_text(GOOD)
    (tmp_path / "502" / "a.yml").write_text(GOOD)
    (tmp_path / "README.md").write_text("no scenario")
    assert [s.id for s in load_scenarios([tmp_path])] == ["502/a", "502/b"]
    (tmp_path / "c.yaml").write_text("title: x")
    (tmp_path / "d.yaml").write_text("[")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput) as caught:
        load_scenarios([tmp_path, tmp_path / "none", tmp_path / "empty"])
    told = "\n".join(map(str, caught.value.problems))
    for said in (
        "c.yaml:1:1: code: is required",
        "d.yaml:1:2: is no valid",
        "none: there is no such",
        "empty: holds no",
    ):
        assert said in told


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["GET /", "5s", "app", "crash", "x", "p95 < 1s"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "steps",
                    "request",
                    "fault",
                    "kind",
                    "target",
                    "expect",
                    "status",
                    "when",
                    "for",
                    "lb",
                    "app",
                    "chain",
                    "traffic",
                    "rate",
                    "that",
                    "at",
                    "timeline",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_JUNK)
def test_no_document_does_anything_but_load_or_be_refused(value: object) -> None:
    import json

    try:
        parse_scenario(json.dumps(value))
    except InvalidInput as error:
        refused = error.problems
    else:
        return
    assert refused
    assert all(problem.line >= 1 for problem in refused)
