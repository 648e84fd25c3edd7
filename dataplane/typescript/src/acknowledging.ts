/**
 * What runs beside the requests: the look at the source, and the acknowledgements to every relay (spec A7). Nothing that
 * a request waits for, and nothing that keeps a process alive.
 */

import type { DataPlane } from "./plane.js";
import { PROTOCOL, type Relay } from "./sources.js";

const LEASE_S = 10;
const INTERVAL_S = 1;
const ANSWER_S = 3;

export class Background {
  readonly #stopping = new AbortController();
  readonly #wakers = new Set<() => void>();
  readonly #warming = new Set<string>();
  readonly #refused = new Map<string, string>();
  #loops: Promise<void>[] = [];

  constructor(private readonly plane: DataPlane, private readonly relays: readonly Relay[]) {}

  /** What relays say against the protocol that is spoken here. */
  get refused(): string | null {
    return [...this.#refused.values()].join("; ") || null;
  }

  /** Begins. What the source says at this moment is known when it resolves. */
  async start(): Promise<void> {
    await this.plane.flags.refresh(false, this.#stopping.signal);
    void this.#watch();
    this.#loops = this.relays.map((relay) => this.#acknowledge(relay));
  }

  /** Ends, and says goodbye to every relay: after the last acknowledgement, so that it is the last word. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.changed();
    await Promise.all(this.#loops);
    await Promise.all(this.relays.map((relay) => this.#report(relay, true)));
  }

  /** Every relay hears of it at once. */
  changed(): void {
    for (const wake of [...this.#wakers]) wake();
  }

  async #watch(): Promise<void> {
    const { flags, outcomes } = this.plane;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#rest(flags.pauseS(), false);
        if (await flags.refresh(true, signal)) this.changed();
        outcomes.lookAfter();
      } catch {
        await this.#rest(INTERVAL_S, false); // whatever it is, it is looked at again: what serves does not depend on it
      }
    }
  }

  async #acknowledge(relay: Relay): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const woken = this.#woken(); // what changes while it is reported is reported again
      const intervalS = await this.#report(relay, false);
      await this.#rest(intervalS, true, woken);
    }
  }

  #woken(): { promise: Promise<void>; forget(): void } {
    let wake = (): void => undefined;
    const promise = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#wakers.add(wake);
    return { promise, forget: () => this.#wakers.delete(wake) };
  }

  async #rest(seconds: number, wakes: boolean, woken = this.#woken()): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, seconds * 1000).unref();
    });
    const stopped = new Promise<void>((resolve) => {
      if (this.#stopping.signal.aborted) resolve();
    });
    await Promise.race(wakes ? [over, stopped, woken.promise] : [over, stopped]);
    clearTimeout(timer);
    woken.forget();
  }

  /** Sends one acknowledgement. Seconds until the next. */
  async #report(relay: Relay, leaving: boolean): Promise<number> {
    const state = { ...this.plane.state(), lease_s: LEASE_S, leaving };
    try {
      const path = `/rollcast/v1/replicas/${encodeURIComponent(state.replica)}`;
      const { status, text } = await relay.ask("POST", path, state, {}, ANSWER_S);
      const answer = JSON.parse(text) ?? {};
      if (status === 426) {
        const why = `relay ${relay.url} speaks protocol ${answer.protocol}, and this kit ${PROTOCOL}`;
        this.#refused.set(relay.url, why);
        return INTERVAL_S;
      }
      this.#refused.delete(relay.url);
      if (Array.isArray(answer.warm) && !leaving) {
        for (const instance of answer.warm) this.#makeWarm(String(instance), state.warm);
      }
      const interval = answer.interval_s;
      return typeof interval === "number" ? Math.min(Math.max(interval, 0.05), LEASE_S / 3) : INTERVAL_S;
    } catch {
      return INTERVAL_S; // a relay that is gone is called again; what serves does not depend on it
    }
  }

  /** Once at a time: a model that takes minutes to load holds up no lease. Not ready yet: the next answer asks again. */
  #makeWarm(instance: string, warm: readonly string[]): void {
    if (this.#warming.has(instance) || warm.includes(instance)) return;
    this.#warming.add(instance);
    this.plane
      .makeWarm(instance)
      .then(() => this.changed())
      .catch(() => undefined)
      .finally(() => this.#warming.delete(instance));
  }
}
