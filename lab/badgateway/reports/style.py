"""How the HTML report looks: one style sheet, light and dark, nothing from elsewhere."""

from __future__ import annotations

from typing import Final

CSS: Final = """\
:root { color-scheme: light dark; --back: #f5f6f8; --card: #fff; --text: #1b2330; --dim: #5c6675; --rule: #d9dde3;
  --good: #1d7f4f; --bad: #b3261e; --mark: #6b4fbb; --code: #eef0f3; }
@media (prefers-color-scheme: dark) { :root { --back: #14171c; --card: #1d2128; --text: #e6e9ee; --dim: #9aa4b2;
  --rule: #343b46; --good: #5cc48d; --bad: #ff8a80; --mark: #b39dff; --code: #272c35; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main, header { max-width: 980px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; }
h1 { font-size: 26px; margin: 0; } h1 small { font-weight: 400; color: var(--dim); font-size: 15px; }
h2 { font-size: 18px; margin: 28px 0 8px; } h3 { font-size: 14px; margin: 18px 0 6px; color: var(--dim); }
code, pre { font: 13px/1.45 ui-monospace, monospace; background: var(--code); border-radius: 4px; padding: 1px 4px; }
pre { padding: 8px 10px; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.squares { display: flex; flex-wrap: wrap; gap: 4px; margin: 14px 0; }
.squares a { width: 16px; height: 16px; border-radius: 3px; background: var(--good); }
.squares a.failed, .squares a.invalid, .squares a.environment { background: var(--bad); }
.squares a.skipped { background: var(--rule); }
.badge { display: inline-block; min-width: 62px; text-align: center; border-radius: 10px; font-size: 12px;
  padding: 1px 8px; color: #fff; background: #1d7f4f; }
.badge.failed, .badge.invalid, .badge.environment { background: #b3261e; }
.badge.skipped { background: #77808d; } .badge.held, .badge.failed { color: #fff; }
details.scenario { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; margin: 6px 0; }
details.scenario > summary { cursor: pointer; padding: 8px 12px; display: flex; gap: 10px; align-items: baseline; }
details.scenario > summary .took { margin-left: auto; color: var(--dim); white-space: nowrap; }
details.scenario > div { padding: 0 16px 14px; border-top: 1px solid var(--rule); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--dim); font-weight: 500; } td, th { padding: 3px 8px 3px 0; vertical-align: top; }
tr + tr td { border-top: 1px solid var(--rule); } td.n { text-align: right; white-space: nowrap; color: var(--dim); }
td { overflow-wrap: anywhere; }
.held small { color: var(--dim); }
.held { color: var(--good); } .failed { color: var(--bad); } .dim, .note { color: var(--dim); }
ul.problems { border-left: 3px solid var(--bad); padding-left: 22px; }
figure { margin: 12px 0; overflow-x: auto; } figcaption { color: var(--dim); font-size: 13px; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
svg text.moment { fill: var(--mark); font-weight: 600; }
svg .grid { stroke: var(--rule); stroke-width: 1; } svg .moment { stroke: var(--mark); stroke-dasharray: 3 2; }
svg text.moment { stroke: none; } svg .span { fill: var(--mark); opacity: .12; }
svg .line { fill: none; stroke-width: 2; } svg .p50 { stroke: #2f80c2; } svg .p95 { stroke: #d1762c; }
svg .window.held { fill: var(--good); opacity: .75; } svg .window.failed { fill: var(--bad); }
.s2xx { fill: #3a9d6a; background: #3a9d6a; } .s3xx { fill: #6fb1a0; background: #6fb1a0; }
.s4xx { fill: #d6a419; background: #d6a419; } .s5xx { fill: #8a5a3c; background: #8a5a3c; }
.s500 { fill: #9b3f8f; background: #9b3f8f; } .s502 { fill: #c63d31; background: #c63d31; }
.s503 { fill: #e2813b; background: #e2813b; } .s504 { fill: #5567d8; background: #5567d8; }
.no-response { fill: #4a4f57; background: #4a4f57; } .cut-short { fill: #a0a6af; background: #a0a6af; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 13px; color: var(--dim); }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px; }
.legend i.p50 { background: #2f80c2; } .legend i.p95 { background: #d1762c; }
.steps > tbody > tr > td:first-child { width: 28%; }
.fall { font-size: 13px; } .fall td:nth-child(1) { white-space: nowrap; width: 16%; }
.fall td:nth-child(2) { width: 45%; }
.fall td:nth-child(2) svg { height: 14px; background: var(--code); border-radius: 2px; }
.connect { fill: #b05cc0; background: #b05cc0; } .send { fill: #3f7fd0; background: #3f7fd0; }
.wait { fill: #d9a52b; background: #d9a52b; } .receive { fill: #3a9d6a; background: #3a9d6a; }
.work { fill: #36a3b5; background: #36a3b5; } .backoff { fill: transparent; background: transparent; }
footer { color: var(--dim); max-width: 980px; margin: 24px auto; padding: 0 20px; font-size: 13px; }
@media (max-width: 640px) {
  main, header { padding: 0 12px; } header { padding-top: 20px; }
  details.scenario > summary { flex-wrap: wrap; gap: 4px 10px; }
  details.scenario > summary > span:nth-of-type(2) { order: 1; flex-basis: 100%; }
  details.scenario > div { padding: 0 10px 10px; }
  figure svg { min-width: 720px; }
  .steps tr, .fall tr { display: grid; grid-template-columns: 1fr auto; }
  .steps tr:first-child:has(th) { display: none; }
  .steps > tbody > tr > td { border-top: 0; padding: 2px 0; } .steps > tbody > tr { border-top: 1px solid var(--rule); }
  .steps > tbody > tr > td:first-child, .fall td { width: auto; }
  .steps > tbody > tr > td:nth-child(2), .fall td:nth-child(2) { grid-column: 1 / -1; order: 1; width: auto; }
  .fall td { border-top: 0; padding: 1px 0; } .fall td:nth-child(3) { text-align: right; } .fall tr { padding: 3px 0; }
}
@media print { details.scenario { break-inside: avoid; } }
"""
