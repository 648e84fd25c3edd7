/**
 * Requests of one process, by release: how many entered, how many finished, how many are in flight (spec A2, A3).
 * Releases that are long gone are forgotten, the oldest first, so that a year of them takes no more room than a day.
 */

const MOST = 1000;

export class ReleaseCounts {
  readonly #entered = new Map<string, number>();
  readonly #finished = new Map<string, number>();

  enter(release: string): void {
    this.#entered.set(release, (this.#entered.get(release) ?? 0) + 1);
    if (this.#entered.size <= MOST) return;
    for (const [name, count] of this.#entered) {
      if (this.#entered.size <= MOST) return;
      if (name === release || count !== (this.#finished.get(name) ?? 0)) continue;
      this.#entered.delete(name);
      this.#finished.delete(name);
    }
  }

  leave(release: string): void {
    this.#finished.set(release, (this.#finished.get(release) ?? 0) + 1);
  }

  /** Of one moment. Releases without a request in flight are not among `releases`. */
  read(): Record<"releases" | "entered" | "finished", Record<string, number>> {
    const releases: Record<string, number> = {};
    for (const [name, count] of this.#entered) {
      const left = count - (this.#finished.get(name) ?? 0);
      if (left) releases[name] = left;
    }
    return { releases, entered: Object.fromEntries(this.#entered), finished: Object.fromEntries(this.#finished) };
  }
}
