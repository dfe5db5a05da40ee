// How a client behaves when its gateways fail, tested without Python: node:test, fetch, and `badgateway up`.
// Run it with `node --test`; badgateway has to be in the PATH.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, test } from "node:test";

// The client under test; in a project of yours it would be imported.
async function countProducts(url) {
  const answer = await fetch(`${url}/products`, { signal: AbortSignal.timeout(1000) });
  if (!answer.ok) throw new Error(`${answer.status}: ${answer.headers.get("proxy-status")}`);
  return (await answer.json()).products.length;
}

let process_, lab;
const folder = mkdtempSync(join(tmpdir(), "badgateway-"));

async function control(method, path, body) {
  const answer = await fetch(lab.control + path, {
    method,
    headers: { authorization: `Bearer ${lab.token}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told;
}

const fired = async () => (await control("GET", "/api/faults")).reduce((sum, fault) => sum + fault.fired, 0);

before(async () => {
  // a chain that has a ready file of its own is in no other's way
  const options = ["--free-ports", "--json", "--quiet", "--ready-file", join(folder, "ready.json"), "--exit-with-stdin"];
  // its stdin is a pipe of ours: when we are gone, however that happens, it ends
  process_ = spawn("badgateway", ["up", ...options], { stdio: ["pipe", "pipe", "inherit"] });
  for await (const line of createInterface(process_.stdout)) {
    lab = JSON.parse(line); // {"event": "ready", "url": …, "control": …, "token": …}
    break;
  }
});

afterEach(() => control("POST", "/api/reset"));
after(() => {
  process_.stdin.end();
  rmSync(folder, { recursive: true, force: true });
});

test("all is well", async () => {
  assert.equal(await countProducts(lab.url), 8);
});

test("a dead shop is reported with the reason", async () => {
  await control("POST", "/api/faults", { target: "app", kind: "crash" });
  await assert.rejects(countProducts(lab.url), /^Error: 502: lb; error=connection_refused/);
});

test("a silent shop is given up", async () => {
  await control("POST", "/api/faults", { target: "app", kind: "hang" });
  await assert.rejects(countProducts(lab.url), { name: "TimeoutError" });
  assert.equal(await fired(), 1);
});

test("half an answer is no answer", async () => {
  await control("POST", "/api/faults", { target: "app", kind: "truncate" });
  await assert.rejects(countProducts(lab.url), TypeError);
  assert.equal(await fired(), 1);
});
