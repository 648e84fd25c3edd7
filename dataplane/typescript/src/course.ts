/**
 * A request's own course, as its release declares it: timeouts of components, the lighter fallback, a latency budget.
 *
 *     const answer = await call("generator", (slot, signal) => models[release.instance(slot)].answer(text, { signal }));
 *
 * The work is called with the slot that is to do it: the one named, or, where that is late, its declared fallback. A slot
 * has its `timeout_s`, and no more than what is left of the request's budget (`latencyBudgetS`). Work that is late has its
 * signal aborted; its result is nobody's.
 */

import { NoRelease } from "./errors.js";
import { current, type ServedRequest } from "./requests.js";
import type { ServingRelease } from "./releases.js";

/** A component took longer than it may, and nothing lighter answered. */
export class Late extends Error {
  override readonly name = "Late";
}

export type Work<T> = (slot: string, signal: AbortSignal) => T | Promise<T>;

const LATE = Symbol("late");

/** What `work(slot)` gives within the time that the slot has, else what `work(fallback)` does. Rejects with Late. */
export async function call<T>(slot: string, work: Work<T>): Promise<T> {
  const request = current();
  const release = request?.release;
  if (!request || !release) throw new NoRelease("No request is resolved here. Call 'plane.resolve' first.");
  const tried = [slot];
  for (;;) {
    const now = tried.at(-1)!;
    const fallback = fallbackOf(release, tried);
    const limitS = limitOf(request, release, now, fallback === null);
    if (limitS === null) return work(now, new AbortController().signal);
    if (limitS > 0) {
      const found = await within(limitS, now, work);
      if (found !== LATE) return found as T;
    }
    if (fallback === null) {
      throw new Late(`'${now}' took longer than ${limitS} s, and no component is declared to answer for it.`);
    }
    request.fellBack(now, fallback);
    tried.push(fallback);
  }
}

/**
 * Begins work for this request before its result is needed. It carries the release, too, and where it fails nobody hears of
 * it but who awaits it.
 */
export function prefetch<T>(work: () => T | Promise<T>): Promise<T> {
  const begun = Promise.resolve().then(work);
  begun.catch(() => undefined);
  return begun;
}

/** What the work gives, or LATE. What it throws by itself is thrown. */
async function within<T>(limitS: number, slot: string, work: Work<T>): Promise<T | typeof LATE> {
  const cancelling = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), limitS * 1000);
  });
  const doing = Promise.resolve().then(() => work(slot, cancelling.signal));
  try {
    const found = await Promise.race([doing, late]);
    if (found === LATE) {
      doing.catch(() => undefined);
      cancelling.abort(new Late(`'${slot}' took longer than ${limitS} s.`));
    }
    return found;
  } finally {
    clearTimeout(timer);
  }
}

function fallbackOf(release: ServingRelease, tried: readonly string[]): string | null {
  const found = release.component(tried.at(-1)!)["fallback"];
  return typeof found === "string" && !tried.includes(found) && Object.hasOwn(release.components, found) ? found : null;
}

/** Seconds that a slot has; null where nothing limits it. The last one in the chain is not cut by the budget. */
function limitOf(request: ServedRequest, release: ServingRelease, slot: string, last: boolean): number | null {
  const own = release.component(slot)["timeout_s"];
  const limits = [own, last ? null : request.leftS].filter((each): each is number => typeof each === "number");
  return limits.length ? Math.min(...limits) : null;
}
