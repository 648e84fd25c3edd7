/** Headers in -> what is served, and headers out: each case of the golden vectors. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Refused } from "../src/errors.js";
import { incoming, outgoing } from "../src/propagation.js";
import { SPEC } from "./reading.js";

const { known, limit_bytes, cases } = JSON.parse(readFileSync(join(SPEC, "vectors", "propagation.json"), "utf8"));

for (const each of cases) {
  test(`${each.point}: ${each.name}`, () => {
    const given = each.in as Record<string, string>;
    let served: string | null = null;
    let out: object = {};
    try {
      const { release, others } = incoming(given["x-rollcast-release"] ?? "", given["baggage"] ?? "", each.trusted);
      const id = release ?? each.resolves_to;
      if (known.includes(id)) {
        served = id;
        out = outgoing(id, others);
      }
    } catch (error) {
      assert.ok(error instanceof Refused);
    }
    assert.equal(served, each.served);
    assert.deepEqual(out, each.out);
    assert.ok(((out as any).baggage ?? "").length <= limit_bytes);
  });
}
