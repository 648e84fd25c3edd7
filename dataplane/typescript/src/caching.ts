/**
 * A cache of frequent outputs that never serves one release's value under another (spec K1).
 *
 *     const answers = new ReleaseCache(10_000, 600);
 *     const hits = await answers.getOrMake(text, () => search(text), "index"); // kept while nothing that made it changes
 *
 * Keys hold the release of the current request, or what can have made the values of the slots that are named. Bounded, the
 * least used goes first. Requests that want one value at once wait for the first to make it.
 */

import { NoRelease } from "./errors.js";
import { current } from "./requests.js";

export class ReleaseCache<T> {
  readonly #values = new Map<string, { until: number; value: Promise<T> }>();

  /** At most `most` values, each for at most `ttlS` seconds. */
  constructor(private readonly most: number, private readonly ttlS = Infinity) {}

  /** The value of a key under the current release, made where there is none. What fails to be made is not kept. */
  getOrMake(key: string, make: () => T | Promise<T>, ...slots: string[]): Promise<T> {
    const release = current()?.release;
    if (!release) throw new NoRelease("No request is resolved here, so nothing can be cached for its release. Resolve it first.");
    const whole = JSON.stringify([release.cacheKey(...slots), slots, key]);
    const held = this.#values.get(whole);
    this.#values.delete(whole);
    const entry =
      held && held.until > performance.now()
        ? held
        : { until: performance.now() + this.ttlS * 1000, value: Promise.resolve().then(make) };
    this.#values.set(whole, entry);
    if (entry !== held) {
      entry.value.catch(() => {
        if (this.#values.get(whole) === entry) this.#values.delete(whole);
      });
      if (this.#values.size > this.most) this.#values.delete(this.#values.keys().next().value!);
    }
    return entry.value;
  }
}
