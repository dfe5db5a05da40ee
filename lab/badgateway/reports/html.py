"""The report for people: one HTML file that needs nothing else, neither a network nor a script.

Every scenario with its verdict, what was expected and measured, charts of its traffic with what was done meanwhile,
waterfalls of the exchanges that are worth a look, and its lesson. Failed ones stand open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from badgateway.reports.charts import answers_chart, css_class, kind_of, latency_chart, windows_strip
from badgateway.reports.jsonreport import made_by, span
from badgateway.reports.places import from_here
from badgateway.reports.style import CSS
from badgateway.reports.waterfalls import waterfall
from badgateway.running.answer import Answer
from badgateway.running.results import Check, ScenarioResult, StepResult
from badgateway.scenario.model import Lesson
from badgateway.terminal.screen import seconds
from badgateway.wording import counted

_BODY_SHOWN = 600


def html_report(results: Sequence[ScenarioResult]) -> str:
    """The report as an HTML document. Whatever came over the network is escaped in it."""
    outcomes = Counter(result.outcome for result in results)
    counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())) or "none"
    began = min((result.started for result in results if result.started), default=0.0)
    when = datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%d %H:%M UTC") if began else ""
    noun = "scenario" if len(results) == 1 else "scenarios"
    squares = "".join(
        f'<a class="{result.outcome}" href="#{_anchor(result)}" '
        f'title="{escape(result.scenario.id)}: {result.outcome}"></a>'
        for result in results
    )
    sections = "".join(_by_code(results))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>badgateway: {counts}</title><style>{CSS}</style></head><body>"
        f"<header><h1>{len(results)} {noun}: {counts} <small>in {seconds(span(results))}</small></h1>"
        f'<div class="squares">{squares}</div></header><main>{sections}</main>'
        f"<footer>Made by badgateway {escape(made_by())}{f', run on {when}' if when else ''}.</footer></body></html>\n"
    )


def _by_code(results: Sequence[ScenarioResult]) -> Iterator[str]:
    for code in sorted({result.scenario.code for result in results}):
        members = [result for result in results if result.scenario.code == code]
        held = sum(result.held for result in members)
        yield f"<h2>{code} <small class='dim'>{held} of {len(members)} held</small></h2>"
        yield from map(_scenario, members)


def _anchor(result: ScenarioResult) -> str:
    without = f"-without-{result.scenario.without}" if result.scenario.without else ""
    return "".join(char if char.isalnum() else "-" for char in result.scenario.id + without)


def _scenario(result: ScenarioResult) -> str:
    scenario = result.scenario
    is_open = "" if result.outcome in ("held", "skipped") else " open"
    without = f" without {escape(scenario.without)}" if scenario.without else ""
    parts = [
        _paragraph(scenario.story),
        _problems(result),
        _steps(result.steps),
        _traffic(result),
        _faults(result),
        _lesson(scenario.lesson),
        f'<p class="dim">{escape(from_here(scenario.file or scenario.id))}; '
        f"the chain was ready after {seconds(result.ready_after)}</p>",
    ]
    return (
        f'<details class="scenario" id="{_anchor(result)}"{is_open}><summary>'
        f'<span class="badge {result.outcome}">{result.outcome}</span><code>{escape(scenario.id)}{without}</code> '
        f'<span>{escape(scenario.title)}</span><span class="took">{seconds(result.duration)}</span></summary>'
        f"<div>{''.join(parts)}</div></details>"
    )


def _paragraph(text: str) -> str:
    return f"<p>{escape(text.strip())}</p>" if text.strip() else ""


def _problems(result: ScenarioResult) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in result.failures())
    return f'<ul class="problems">{lines}</ul>' if lines else ""


def _steps(steps: Sequence[StepResult]) -> str:
    if not steps:
        return ""
    rows = "".join(map(_step, steps))
    return f'<h3>Steps</h3><table class="steps"><tr><th>step<th>expected and measured<th></tr>{rows}</table>'


def _step(step: StepResult) -> str:
    verdict = "skipped" if step.skipped else "" if step.held else "failed"
    note = f'<div class="note">{escape(step.note)}</div>' if step.note else ""
    checks = "".join(f'<div class="{_verdict(check)}">{_check(check)}</div>' for check in step.checks)
    return (
        f'<tr><td class="{verdict}"><b>{step.index + 1}.</b> {escape(step.title)}{" (skipped)" if step.skipped else ""}'
        f'{note}<td>{checks}{_shown(step)}<td class="n">{seconds(step.duration)}</tr>'
    )


def _check(check: Check) -> str:
    if check.held:
        told = check.expected in ("to hold", check.measured)
        wanted = "" if told else f" <small>(expected {escape(check.expected)})</small>"
        return f"✓ {escape(check.name)}: {escape(check.measured)}{wanted}"
    return f"✗ {escape(check.name)}: expected {escape(check.expected)}, measured {escape(check.measured)}"


def _shown(step: StepResult) -> str:
    """The exchange of a step: what the client saw, and how it went along the chain."""
    if step.seen is None:
        return ""
    answer, trace = step.seen.answer, step.seen.trace
    words = f"{answer.status} {answer.reason}" if answer.status is not None else f"no response: {answer.failure}"
    fall = "" if trace is None else waterfall(trace)
    is_open = "" if step.held else " open"
    return (
        f"<details{is_open}><summary>{escape(words)} in {seconds(answer.elapsed)}</summary>"
        f"{fall}<pre>{escape(_wire(answer))}</pre></details>"
    )


def _wire(answer: Answer) -> str:
    lines = [f"{name}: {value}" for name, value in answer.headers]
    body = answer.body[:_BODY_SHOWN].decode("utf-8", "backslashreplace")
    more = "…" if answer.body_bytes > _BODY_SHOWN else ""
    cut = [f"(cut short: {answer.truncated})"] if answer.truncated else []
    first = [f"first bytes: {answer.first_bytes[:80]!r}"] if answer.first_bytes else []
    return "\n".join([*lines, "", body + more, *cut, *first, *([answer.details] if answer.details else [])]).strip()


def _traffic(result: ScenarioResult) -> str:
    return f"{_charts(result)}{_windows(result)}{_examples(result)}"


def _charts(result: ScenarioResult) -> str:
    seen = result.observations
    if not seen:
        return ""
    kinds = sorted(Counter(map(kind_of, seen)).items())
    legend = "".join(f"<span>{_swatch(css_class(kind))}{escape(kind)} ({number})</span>" for kind, number in kinds)
    percentiles = f"<span>{_swatch('p50')}median</span><span>{_swatch('p95')}95th percentile</span>"
    return (
        f"<h3>Traffic: {counted(len(seen), 'request')}</h3>"
        f'{answers_chart(seen, result.moments)}<div class="legend">{legend}</div>'
        f'{latency_chart(seen, result.moments)}<div class="legend">{percentiles}</div>'
    )


def _swatch(css: str) -> str:
    return f'<i class="{css}"></i>'


def _windows(result: ScenarioResult) -> str:
    if not result.windows:
        return ""
    rows = "".join(
        f'<tr><td>{escape(window.window)}<td class="{_verdict(window.check)}">{_check(window.check)}'
        f'<td class="n">{counted(window.requests, "request")}</tr>'
        for window in result.windows
    )
    seen = result.observations
    strip = f"<figure>{windows_strip(result.windows, max(each.intended for each in seen))}</figure>" if seen else ""
    return f"<h3>Expectations</h3>{strip}<table><tr><th>window<th>what was measured<th></tr>{rows}</table>"


def _verdict(check: Check) -> str:
    return "held" if check.held else "failed"


def _examples(result: ScenarioResult) -> str:
    if not result.examples:
        return ""
    shown = "".join(
        f"<details><summary>{escape(kind_of(example.observation))}, due at {example.observation.intended:.2f} s, "
        f"took {seconds(example.observation.latency)}</summary>{waterfall(example.trace)}</details>"
        for example in result.examples
    )
    return f"<h3>Of each kind of answer, the slowest</h3>{shown}"


def _faults(result: ScenarioResult) -> str:
    if not result.faults:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(fault.id)}</code><td>{escape(fault.kind)} at {escape(fault.target)}"
        f'<td class="{"held" if fault.held else "failed"}">fired {counted(fault.fired, "time")}</tr>'
        for fault in result.faults
    )
    return f"<h3>Faults, and the proof that they happened</h3><table>{rows}</table>"


def _lesson(lesson: Lesson) -> str:
    debug = "".join(f"<li>{escape(line)}</li>" for line in lesson.debug)
    parts = [
        (f"<h3>{title}</h3>{text}")
        for title, text in [
            ("What it teaches", _paragraph(lesson.explain)),
            ("How to debug it", f"<ul>{debug}</ul>" if debug else ""),
            ("The fix", _paragraph(lesson.fix)),
        ]
        if text
    ]
    return f"<details><summary>Lesson</summary>{''.join(parts)}</details>" if parts else ""
