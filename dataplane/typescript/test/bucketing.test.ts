/** Every key stands where the golden vectors put it, and where npm's own flagd provider does not is known exactly. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FlagdProvider } from "@openfeature/flagd-provider";
import { type Client, OpenFeature } from "@openfeature/server-sdk";
import { Definition } from "../src/definitions.js";
import { bucketOf } from "../src/hashing.js";
import { bucketing, flagOf, type Row, split, textOf } from "./reading.js";

const PINNED = bucketing("flagd-murmur3-32-1");
const NEWER = bucketing("flagd-cbor-murmur3-32-1");

const plain = ({ salt, key }: Row): boolean => /^[\0-\x7f]*$/.test(salt + key);

test("all 10,000 keys stand in the bucket of the pinned hash", () => {
  assert.equal(PINNED.rows.length, 10_000);
  for (const { salt, key, bucket } of PINNED.rows) {
    assert.equal(bucketOf(salt + key, PINNED.total), bucket, JSON.stringify([salt, key]));
  }
});

test("every percentage step puts exactly the same keys on the new release", () => {
  const salts = [...new Set(PINNED.rows.map(({ salt }) => salt))];
  for (const { weight, new: count, sha256, percent } of PINNED.steps) {
    const bySalt = new Map(salts.map((salt) => [salt, new Definition(textOf(flagOf(split(salt, weight, PINNED.total))), "help-desk")]));
    const taken = PINNED.rows.map(({ salt, key }) => (bySalt.get(salt)!.evaluate(key, {}).id === "rel-new" ? "1" : "0")).join("");
    assert.equal(taken.replaceAll("0", "").length, count, `${percent} %`);
    assert.equal(createHash("sha256").update(taken).digest("hex"), sha256, `${percent} %`);
  }
});

test("the newer generation is distinguished: it puts nearly every key elsewhere", () => {
  const same = NEWER.rows.filter(({ salt, key, bucket }) => bucketOf(salt + key, NEWER.total) === bucket);
  assert.ok(same.length < 10, `${same.length} of 10,000 are the same`);
});

test("a flag that was split for another hash is not evaluated", () => {
  const flag = flagOf({ if: [true, "new"] }, { metadata: { rollcast_bucketing: "flagd-cbor-murmur3-32/1" } });
  assert.throws(() => new Definition(textOf(flag), "help-desk"), /split for flagd-cbor-murmur3-32\/1/);
});

// ---- npm's real provider, in process, offline, from a file -----------------------------------------------------

let folder: string;
let client: Client;
const named = (name: string, weight: number): string => `${name}/${weight}`;
const names = [...new Set(PINNED.rows.map(({ salt }) => salt))];
const weights = PINNED.steps.map(({ weight }) => weight);

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "rollcast-"));
  const flags = Object.fromEntries(
    names.flatMap((salt) => weights.map((weight) => [named(salt, weight), flagOf(split(salt, weight, PINNED.total))])),
  );
  writeFileSync(join(folder, "flags.json"), JSON.stringify({ flags }));
  const provider = new FlagdProvider({ resolverType: "in-process", offlineFlagSourcePath: join(folder, "flags.json") });
  await OpenFeature.setProviderAndWait(provider);
  client = OpenFeature.getClient();
});

after(async () => {
  await OpenFeature.close();
  rmSync(folder, { recursive: true });
});

const byProvider = async (salt: string, weight: number, key: string): Promise<string | undefined> =>
  (await client.getObjectDetails(named(salt, weight), {}, { targetingKey: key })).variant;

test("npm's flagd provider agrees on every ASCII key at every percentage step", async () => {
  const rows = PINNED.rows.filter(plain);
  assert.ok(rows.length > 4000, String(rows.length));
  for (const [at, { salt, key, bucket }] of rows.entries()) {
    for (const weight of [weights[at % weights.length]!, weights[(at * 7 + 3) % weights.length]!]) {
      assert.equal(await byProvider(salt, weight, key), bucket < weight ? "new" : "old", JSON.stringify([salt, key, weight]));
    }
  }
});

test("npm's flagd provider puts keys that are not ASCII elsewhere, which is why this kit evaluates itself", async () => {
  const rows = PINNED.rows.filter((row) => !plain(row));
  let moved = 0;
  for (const { salt, key, bucket } of rows) {
    if ((await byProvider(salt, 50_000, key)) !== (bucket < 50_000 ? "new" : "old")) moved++;
  }
  // Half of those that stand elsewhere are by chance on the same side of a split by half.
  assert.ok(moved > rows.length * 0.45, `${moved} of ${rows.length}: if this is 0, the provider can be used as it is`);
});
