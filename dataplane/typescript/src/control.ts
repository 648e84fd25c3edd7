/** The control endpoint of a replica, below `/rollcast/` (spec A): requests and answers. No framework. */

import { timingSafeEqual } from "node:crypto";
import { BadDefinition, Refused, said } from "./errors.js";
import type { DataPlane } from "./plane.js";
import { ServingRelease } from "./releases.js";

export const PREFIX = "/rollcast/";
export const MOST_BYTES = 4 * 1024 * 1024;

export type ControlAnswer = { status: number; body: unknown };

/** What the caller sent can't be used. */
class BadRequest extends Error {}

/** The answer to a request to the control endpoint. Whatever comes in, it answers. `body`: its text, or JSON read already. */
export async function answer(
  plane: DataPlane, method: string, path: string, authorization: string, body: unknown,
): Promise<ControlAnswer> {
  if (plane.token && !same(authorization, `Bearer ${plane.token}`)) {
    const error = "The control endpoint needs its bearer token. Set ROLLCAST_ENDPOINT_TOKEN where you ask.";
    return { status: 401, body: { error } };
  }
  const name = path.slice(PREFIX.length);
  try {
    await plane.start();
    switch (`${method} ${name}`) {
      case "GET inflight":
        return { status: 200, body: plane.state() };
      case "POST warm":
        await plane.makeWarm(textUnder(objectOf(body), "instance"));
        return { status: 200, body: { ready: true } };
      case "POST evaluate":
        return { status: 200, body: await evaluated(plane, objectOf(body)) };
    }
  } catch (error) {
    if (error instanceof Refused) return { status: error.status, body: error.body() };
    if (error instanceof BadRequest || error instanceof BadDefinition) {
      return { status: 400, body: { error: `${error.message}. Correct the request.` } };
    }
    return { status: name === "warm" ? 503 : 500, body: { error: said(error) } }; // a hook: not ready, or broken
  }
  const known = ["inflight", "warm", "evaluate"].includes(name);
  return { status: known ? 405 : 404, body: { error: `There is no ${method} ${path} here.` } };
}

async function evaluated(plane: DataPlane, body: Record<string, unknown>): Promise<unknown> {
  if (!plane.evaluateHook) {
    throw new BadRequest("this service runs no suites: give the data plane 'evaluate', or declare another evaluator");
  }
  const variant = body["release"];
  if (variant === null || typeof variant !== "object" || Array.isArray(variant)) {
    throw new BadRequest("'release' must be a whole variant of the flag");
  }
  const suite = textUnder(body, "suite");
  const { cases, metrics } = await plane.evaluateHook(new ServingRelease(variant as Record<string, unknown>), suite);
  return { cases, metrics };
}

function same(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function objectOf(body: unknown): Record<string, unknown> {
  let found = body;
  try {
    if (typeof body === "string") found = JSON.parse(body);
  } catch {
    throw new BadRequest("the body is no JSON");
  }
  if (found === null || typeof found !== "object" || Array.isArray(found)) {
    throw new BadRequest("the body is no JSON object");
  }
  return found as Record<string, unknown>;
}

function textUnder(body: Record<string, unknown>, name: string): string {
  const found = body[name];
  if (typeof found !== "string" || !found || found.length > 4096) throw new BadRequest(`'${name}' must be text`);
  return found;
}
