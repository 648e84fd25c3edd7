/** Requests without a server: jobs, caches, the Fetch adapter, spans. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { carryingFetch, DataPlane, NoRelease, ReleaseCache, RefusedKey, rollcastFetch, UnknownRelease } from "../src/index.js";
import { flagOf, split, textOf } from "./reading.js";

let folder: string;
let plane: DataPlane;
const ALL_NEW = flagOf({ if: [true, "new"] });

function made(settings: object = {}): DataPlane {
  return new DataPlane("help-desk", {
    definition: join(folder, "flags.json"), state: join(folder, "state"), telemetry: join(folder, "telemetry"), ...settings,
  });
}
const put = (flag: object): void => writeFileSync(join(folder, "flags.json"), textOf(flag));
const records = (): any[] => readFileSync(join(folder, "telemetry", "requests.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rollcast-"));
  put(ALL_NEW);
  plane = made();
});
afterEach(async () => {
  await plane.stop();
  rmSync(folder, { recursive: true });
});

test("a job is served by one release, counted once, and leaves one outcome, also where it fails", async () => {
  assert.equal(await plane.request({ user: "u" }, (_, release) => release.id), "rel-new");
  await assert.rejects(plane.request({ user: 7 }, () => Promise.reject(new Error("its own"))), /its own/);
  assert.deepEqual(plane.counts.read(), { releases: {}, entered: { "rel-new": 2 }, finished: { "rel-new": 2 } });
  assert.deepEqual(records().map(({ key, error }) => [key, error]), [["u", false], ["7", true]]);
});

test("called twice, or twice at once, a request answers with what it was resolved to first", async () => {
  await plane.request({ user: "u" }, async (request, release) => {
    const found = await Promise.all([request.resolve({ user: "v" }), plane.resolve(), plane.resolve({ session: 1 })]);
    assert.deepEqual(new Set(found), new Set([release]));
  });
  assert.equal(records()[0].key, "u");
});

test("keys that can't be one are refused with 400, and nothing is counted", async () => {
  for (const user of [[], {}, "\ud800", "x".repeat(4097), Infinity]) {
    await assert.rejects(plane.request({ user }, () => 1), (error: unknown) => error instanceof RefusedKey && error.status === 400);
  }
  assert.deepEqual(plane.counts.read().entered, {});
});

test("who has no user is resolved by session, device or request, each behind its name", async () => {
  const kinds = [];
  for (const who of [{ user: "", session: "s" }, { user: NaN, device: 1.5 }, { user: null }]) {
    await plane.request(who, () => 1);
    const { key, key_kind, request } = records().at(-1);
    kinds.push([key.replace(request, "its id"), key_kind]);
  }
  assert.deepEqual(kinds, [["session:s", "session"], ["device:1.5", "device"], ["request:its id", "request"]]);
});

test("a message of a queue carries its release, and one that is unknown is refused", async () => {
  await plane.stop();
  plane = made({ trust: true });
  const headers = { "X-Rollcast-Release": "rel-old" };
  assert.equal(await plane.request({ headers }, (_, release) => release.id), "rel-old");
  const unknown = plane.request({ headers: { baggage: "rollcast.release=rel-x" } }, () => 1);
  await assert.rejects(unknown, (error: unknown) => error instanceof UnknownRelease && error.release === "rel-x");
});

test("a cached value is not served under another release, nor made twice at once, nor kept where it failed", async () => {
  const cache = new ReleaseCache<string>(2);
  let count = 0;
  const ask = (key: string): Promise<string> =>
    plane.request({}, (_, release) => cache.getOrMake(key, () => `${release.id} ${count++}`));
  assert.deepEqual(await Promise.all([ask("a"), ask("a")]), ["rel-new 0", "rel-new 0"]);
  put(flagOf({ if: [true, "old"] }));
  await plane.flags.refresh(false, new AbortController().signal);
  assert.equal(await ask("a"), "rel-old 1");
  const broken = (): Promise<string> => plane.request({}, () => cache.getOrMake("b", () => Promise.reject(new Error("no"))));
  await assert.rejects(broken(), /no/);
  assert.equal(await ask("b"), "rel-old 2");
  assert.throws(() => cache.getOrMake("a", () => ""), NoRelease);
});

test("a fetch made for a request carries its release and keeps the call's own baggage", async () => {
  const sent: Headers[] = [];
  const carrying = carryingFetch(async (_, init) => (sent.push(init!.headers as Headers), new Response()));
  await plane.request({}, () => carrying("http://x/", { headers: { baggage: "a=1,rollcast.release=rel-z", accept: "b" } }));
  await carrying("http://x/");
  assert.deepEqual(Object.fromEntries(sent[0]!), { accept: "b", baggage: "rollcast.release=rel-new,a=1", "x-rollcast-release": "rel-new" });
  assert.deepEqual(Object.fromEntries(sent[1]!), {});
});

test("the Fetch adapter: a stream is in flight to its last byte, or until it is given up", async () => {
  const stream = (): Response => new Response(new Blob(["ab"]).stream());
  const handler = rollcastFetch(plane, async (request) => {
    assert.equal(request.headers.get("x-rollcast-release"), null);
    await plane.resolve({ user: "u" });
    return stream();
  });
  const outsider = (): Request => new Request("http://x/chat", { headers: { "x-rollcast-release": "rel-old" } });
  const answer = await handler(outsider());
  assert.equal(answer.headers.get("x-rollcast-release"), "rel-new");
  assert.deepEqual(plane.counts.read().releases, { "rel-new": 1 });
  assert.equal(await answer.text(), "ab");
  assert.deepEqual(plane.counts.read().releases, {});
  await (await handler(outsider())).body!.cancel();
  assert.deepEqual(plane.counts.read().releases, {});
  assert.deepEqual(records().map((each) => each.cancelled ?? false), [false, true]);
  const state = (await (await handler(new Request("http://x/rollcast/inflight"))).json()) as any;
  assert.deepEqual(state.finished, { "rel-new": 2 });
});

test("the Fetch adapter answers what is refused with 503 and its reason", async () => {
  put(flagOf({ if: [true, "paused"] }));
  const handler = rollcastFetch(plane, async () => Response.json(await plane.resolve()));
  const answer = await handler(new Request("http://x/"));
  assert.equal(answer.status, 503);
  assert.match(((await answer.json()) as any).error, /paused/);
});

test("an operator that the kit does not know makes a definition unusable, and the last known goes on", async () => {
  await plane.start();
  put(flagOf({ if: [{ telepathy: [1] }, "new", "old"] }));
  await plane.flags.refresh(false, new AbortController().signal);
  assert.match(String(plane.state()["degraded"]), /operator 'telepathy'.*last known/);
  assert.equal(await plane.request({}, (_, release) => release.id), "rel-new");
});

test("10,000 releases over time leave bounded counters", () => {
  for (let at = 0; at < 10_000; at++) {
    plane.counts.enter(`rel-${at}`);
    if (at > 0) plane.counts.leave(`rel-${at}`);
  }
  const { entered, releases } = plane.counts.read();
  assert.ok(Object.keys(entered).length <= 1000);
  assert.deepEqual(releases, { "rel-0": 1 });
});

test("the current span is tagged with the release and with what OpenTelemetry calls the outcome's fields", async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(provider);
  await trace.getTracer("t").startActiveSpan("chat", async (span) => {
    await plane.request({ user: "u" }, (request) => request.outcome({ input_tokens: 3, model: "m", unsafe: false }));
    span.end();
  });
  const found = exporter.getFinishedSpans()[0]!.attributes;
  assert.equal(found["rollcast.release"], "rel-new");
  assert.equal(found["gen_ai.usage.input_tokens"], 3);
  assert.equal(found["rollcast.outcome.unsafe"], false);
});

test("a split is the same whether a weight is listed or what is left of it", async () => {
  put(flagOf(split("s", 100_000, 100_000)));
  assert.equal(await plane.request({ user: "u" }, (_, release) => release.id), "rel-new");
});

test("a relay hears of another definition at once, however seldom it wants to hear", async (t) => {
  let text = textOf(ALL_NEW);
  let changed = (): void => undefined;
  const heard: string[] = [];
  const relay = createServer(async (request, response) => {
    if (request.method === "POST") {
      let body = "";
      for await (const part of request) body += part;
      heard.push(JSON.parse(body).definitions["rollcast-help-desk"]);
      response.end(JSON.stringify({ protocol: 1, interval_s: 3 }));
      return;
    }
    const tag = (): string => `"${text.length}"`;
    if (request.headers["if-none-match"] === tag()) await new Promise<void>((resolve) => (changed = resolve));
    response.setHeader("etag", tag()).end(text);
  }).listen(0, "127.0.0.1");
  t.after(() => {
    relay.closeAllConnections();
    relay.close();
  });
  await once(relay, "listening");
  await plane.stop();
  plane = new DataPlane("help-desk", {
    relays: [`http://127.0.0.1:${(relay.address() as AddressInfo).port}`], state: join(folder, "of-relay"), pins: null,
  });
  await plane.start();
  const until = async (holds: () => boolean): Promise<void> => {
    for (let left = 100; left && !holds(); left--) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(holds());
  };
  await until(() => heard.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 100)); // the long poll is open by now
  text = textOf(flagOf({ if: [true, "old"] }, { metadata: { more: "" } }));
  changed();
  await until(() => heard.length === 2);
  assert.notEqual(heard[0], heard[1]);
  const ended = plane.stop();
  changed();
  await ended;
  assert.equal(heard.length, 3); // goodbye
});
