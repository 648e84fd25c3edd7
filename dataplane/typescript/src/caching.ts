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

interface Entry<T> {
  until: number;
  value: Promise<T>;
}

export class ReleaseCache<T> {
  hits = 0;
  misses = 0;
  readonly #values = new Map<string, Entry<T>>();

  /** At most `most` values, each for at most `ttlS` seconds. */
  constructor(private readonly most: number, private readonly ttlS = Infinity) {}

  /** The value of a key under the current release, made where there is none. What fails to be made is not kept. */
  getOrMake(key: string, make: () => T | Promise<T>, ...slots: string[]): Promise<T> {
    const whole = wholeKey(key, slots);
    const held = this.#look(whole);
    if (held) return held.value;
    const entry = this.#keep(whole, Promise.resolve().then(make));
    entry.value.catch(() => {
      if (this.#values.get(whole) === entry) this.#values.delete(whole);
    });
    return entry.value;
  }

  /** The value of a key under the current release, or undefined. Throws NoRelease. */
  find(key: string, ...slots: string[]): Promise<T> | undefined {
    return this.#look(wholeKey(key, slots))?.value;
  }

  /** Keeps a value that the current release made. Throws NoRelease. */
  put(key: string, value: T, ...slots: string[]): void {
    this.#keep(wholeKey(key, slots), Promise.resolve(value));
  }

  #look(whole: string): Entry<T> | undefined {
    const held = this.#values.get(whole);
    this.#values.delete(whole);
    if (!held || held.until <= performance.now()) {
      this.misses += 1;
      return undefined;
    }
    this.hits += 1;
    this.#values.set(whole, held); // used last: it goes last
    return held;
  }

  #keep(whole: string, value: Promise<T>): Entry<T> {
    const entry = { until: performance.now() + this.ttlS * 1000, value };
    this.#values.delete(whole);
    this.#values.set(whole, entry);
    if (this.#values.size > this.most) this.#values.delete(this.#values.keys().next().value!);
    return entry;
  }
}

function wholeKey(key: string, slots: readonly string[]): string {
  const release = current()?.release;
  if (!release) throw new NoRelease("No request is resolved here, so nothing can be cached for its release. Resolve it first.");
  return JSON.stringify([release.cacheKey(...slots), slots, key]);
}
