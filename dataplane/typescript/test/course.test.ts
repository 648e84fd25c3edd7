/** A request's own course: each case of the golden vectors; what is cancelled, prefetched and cached. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { call, carriedHeaders, DataPlane, Late, NoRelease, prefetch, ReleaseCache } from "../src/index.js";
import { flagOf, SPEC, textOf } from "./reading.js";

let folder: string;
let plane: DataPlane;

function serve(components: object, settings: object = {}): DataPlane {
  const flag = flagOf({ if: [true, "new"] });
  flag["variants"].new.components = components;
  writeFileSync(join(folder, "flags.json"), textOf(flag));
  plane = new DataPlane("help-desk", {
    definition: join(folder, "flags.json"), state: join(folder, "state"), telemetry: join(folder, "telemetry"), ...settings,
  });
  return plane;
}
const outcome = (): any =>
  JSON.parse(readFileSync(join(folder, "telemetry", "requests.jsonl"), "utf8").trim().split("\n").at(-1)!);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rollcast-"));
});
afterEach(async () => {
  await plane.stop();
  rmSync(folder, { recursive: true });
});

const { cases } = JSON.parse(readFileSync(join(SPEC, "vectors", "course.json"), "utf8"));
for (const each of cases) {
  test(`course: ${each.name}`, async () => {
    serve(each.components, { latencyBudgetS: each.budget_s });
    const tried: string[] = [];
    let gave: string | null = null;
    await plane.request({ user: "u" }, async () => {
      await sleep((each.spent_s ?? 0) * 1000);
      try {
        gave = await call("a", async (slot) => {
          tried.push(slot);
          await sleep((each.takes[slot] ?? 0) * 1000);
          return slot;
        });
      } catch (error) {
        assert.ok(error instanceof Late, String(error));
      }
    });
    assert.deepEqual([gave, tried], [each.gives, each.tried]);
    const { fell_back, fallbacks } = outcome();
    assert.deepEqual([fell_back ?? {}, fallbacks ?? 0], [each.fell_back, Object.keys(each.fell_back).length]);
  });
}

test("what fails by itself is no lateness, and late work is told to end", async () => {
  serve({ a: { timeout_s: 0.05, fallback: "b" }, b: {} });
  const ended: string[] = [];
  await plane.request({ user: "u" }, async () => {
    await assert.rejects(call("a", () => Promise.reject(new Error("its own"))), /its own/);
    await assert.rejects(call("a", () => { throw new Error("at once"); }), /at once/);
    const answer = await call("a", async (slot, signal) => {
      signal.addEventListener("abort", () => ended.push(`${slot}: ${signal.reason.name}`));
      await sleep(slot === "a" ? 200 : 0);
      if (slot === "a") throw new Error("late, and nobody hears of it");
      return slot;
    });
    assert.equal(answer, "b");
    await sleep(250);
  });
  assert.deepEqual(ended, ["a: Late"]);
});

test("where no request runs there is no course, and a slot that is not there is refused", async () => {
  serve({ a: {} });
  await assert.rejects(call("a", () => 1), NoRelease);
  await plane.request({ user: "u" }, async () => {
    await assert.rejects(call("nothing", () => 1), /no component 'nothing'/);
  });
});

test("work ahead carries the release, and its failure is heard by who awaits it alone", async () => {
  serve({ a: {} });
  await plane.request({ user: "u" }, async () => {
    const ahead = prefetch(() => carriedHeaders());
    const failing = prefetch(() => Promise.reject(new Error("its own")));
    prefetch(() => { throw new Error("nobody awaits it"); });
    await sleep(10);
    assert.equal((await ahead as Record<string, string>)["x-rollcast-release"], "rel-new");
    await assert.rejects(failing, /its own/);
  });
});

test("a cache is found and filled by hand under the current release, and counts", async () => {
  serve({ a: {} });
  const cache = new ReleaseCache<string>(2, 0.05);
  assert.throws(() => cache.find("q"), NoRelease);
  await plane.request({ user: "u" }, async () => {
    for (const key of ["a", "b", "c"]) cache.put(key, key);
    assert.deepEqual(await Promise.all(["a", "b", "c"].map((key) => cache.find(key))), [undefined, "b", "c"]);
    assert.deepEqual([cache.hits, cache.misses], [2, 1]);
    await sleep(60);
    assert.equal(await cache.find("c"), undefined);
    assert.equal(await cache.getOrMake("c", () => "made"), "made");
    assert.deepEqual([cache.hits, cache.misses], [2, 3]);
  });
});
