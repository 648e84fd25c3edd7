/**
 * Targeting keys, by the same rule as rollcast's planner, its telemetry and its traffic (spec R4, R5).
 *
 * A key is any scalar: text as it stands, a number or a boolean as its text. A request without a user takes the first
 * that it has of session, device and request id, with a prefix, so that none is taken for a user.
 */

import { RefusedKey } from "./errors.js";

const LONGEST = 4096;
const LONE_SURROGATE = /\p{Surrogate}/u;

export type KeyKind = "user" | "session" | "device" | "request";

/** The key that a value is; empty where it is none. Throws RefusedKey. */
export function keyOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : textOf(value);
  if (text.length > LONGEST && [...text].length > LONGEST) {
    throw new RefusedKey(`A key has ${[...text].length} characters; at most ${LONGEST} can be used. Correct the request.`);
  }
  if (LONE_SURROGATE.test(text)) {
    throw new RefusedKey("A key holds a lone surrogate, which is no text. Correct the request.");
  }
  return text;
}

function textOf(value: unknown): string {
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") {
    if (Number.isNaN(value)) return "";
    if (!Number.isFinite(value)) throw new RefusedKey("A key is an infinite number. Correct the request.");
    return Number.isInteger(value) ? BigInt(value).toString() : floatText(value);
  }
  const kind = Array.isArray(value) ? "a list" : `of type ${typeof value}`;
  throw new RefusedKey(`A key must be text or a number; this one is ${kind}. Correct the request.`);
}

/** A fraction as rollcast writes it everywhere (Python's `repr`): exponents have two digits and begin below 1e-4, at 1e16. */
export function floatText(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  }
  return Number.isInteger(value) ? `${Object.is(value, -0) ? "-0" : value}.0` : String(value);
}

/** Who a request is for. */
export interface Who {
  user?: unknown;
  session?: unknown;
  device?: unknown;
}

/** The key of a request and whose it is: of user, session, device and request id the first that it has. */
export function chosen(who: Who, request: string): [key: string, kind: KeyKind] {
  for (const kind of ["user", "session", "device"] as const) {
    const key = keyOf(who[kind]);
    if (key) return [kind === "user" ? key : `${kind}:${key}`, kind];
  }
  return [`request:${request}`, "request"];
}
