/** What tests read of the specification. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

export const SPEC = process.env["ROLLCAST_SPEC"] ?? fileURLToPath(new URL("../../../../spec", import.meta.url));

export interface Step {
  percent: number;
  weight: number;
  new: number;
  sha256: string;
}
export interface Row {
  salt: string;
  key: string;
  bucket: number;
}

export function bucketing(name: string): { total: number; steps: Step[]; rows: Row[] } {
  const text = gunzipSync(readFileSync(join(SPEC, "vectors", `bucketing-${name}.jsonl.gz`))).toString("utf8");
  const [head, ...lines] = text.trim().split("\n").map((line) => JSON.parse(line));
  return {
    total: head.total,
    steps: lines.filter((each) => each.step).map((each) => each.step),
    rows: lines.filter((each) => !each.step),
  };
}

export const FLAG = "rollcast-help-desk";

/** A flag with this targeting over two releases. */
export function flagOf(targeting: unknown, more: object = {}): Record<string, any> {
  const release = (id: string): object => ({ release: id, channel: "default", components: {} });
  const variants = { new: release("rel-new"), old: release("rel-old"), paused: { release: null, paused: true } };
  return { state: "ENABLED", variants, defaultVariant: "paused", targeting, ...more };
}

export const textOf = (flag: object): string => JSON.stringify({ flags: { [FLAG]: flag } });

export const split = (salt: string, weight: number, total: number): object => ({
  fractional: [{ cat: [salt, { var: "targetingKey" }] }, ["new", weight], ["old", total - weight]],
});
