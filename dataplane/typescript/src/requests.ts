/**
 * One request of the service: resolved at most once, counted exactly once, with one outcome, whatever becomes of it.
 *
 * The object is made when a request comes in, by an adapter or by `DataPlane.request`, and is `current()` for everything
 * that runs for it.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { NoRelease, Refused } from "./errors.js";
import { chosen, type KeyKind, type Who } from "./keys.js";
import { activeSpan, type Fields, genAi, tag, usable } from "./outcomes.js";
import type { DataPlane } from "./plane.js";
import { type Carried, outgoing } from "./propagation.js";
import type { ServingRelease } from "./releases.js";

export const CURRENT = new AsyncLocalStorage<ServedRequest>();

/** The request that this code runs for. */
export const current = (): ServedRequest | undefined => CURRENT.getStore();

/** Who a request is for, and what else its release may depend on. */
export interface ResolveOptions extends Who {
  attributes?: Readonly<Record<string, unknown>>;
}

const seconds = (): number => performance.now() / 1000;

/** A request from its entry here to its last byte. */
export class ServedRequest {
  /** What serves it; null until it is resolved. */
  release: ServingRelease | null = null;
  refusal: Refused | null = null;
  /** What the client is to bring with the session's next request. */
  pinToken: string | null = null;
  readonly id = randomUUID().replaceAll("-", "");
  #key = "";
  #kind: KeyKind = "request";
  #attributes: Readonly<Record<string, unknown>> = {};
  #fields: Fields;
  #resolving: Promise<ServingRelease> | null = null;
  #began = seconds();
  #first: number | null = null;
  #last: number | null = null;
  #over = false;

  /** `named`: what its client calls it, which a client that tries again says again, so that it is no id. */
  constructor(
    private readonly plane: DataPlane,
    named: string | null = null,
    readonly others: readonly string[] = [],
    private readonly presented: string | null = null,
  ) {
    this.#fields = named ? { client_request: named } : {};
  }

  /** It was given this release by a trusted caller, or its release is decided: it is in flight from here on. */
  serve(release: ServingRelease): void {
    if (this.#over) throw new NoRelease("The request is over already, so nothing can serve it. Resolve it before it ends.");
    this.release = release;
    this.plane.counts.enter(release.id);
  }

  /** What serves this request. Decided once: called again, it answers the same. Rejects with Refused. */
  resolve(options: ResolveOptions = {}): Promise<ServingRelease> {
    return (this.#resolving ??= this.#resolve(options));
  }

  async #resolve(options: ResolveOptions): Promise<ServingRelease> {
    try {
      if (this.refusal) throw this.refusal;
      [this.#key, this.#kind] = chosen(options, this.id);
      this.#attributes = { ...options.attributes };
      if (!this.release) this.serve(await this.#choose(options));
      const release = this.release!;
      tag(activeSpan(), {
        "rollcast.request": this.id,
        "rollcast.key_kind": this.#kind,
        "rollcast.release": release.id,
        "rollcast.channel": release.channel,
        ...Object.fromEntries(Object.entries(release.artifacts).map(([slot, name]) => [`rollcast.component.${slot}`, name])),
      });
      return release;
    } catch (error) {
      if (error instanceof Refused) this.refusal = error;
      throw error;
    }
  }

  async #choose({ session }: ResolveOptions): Promise<ServingRelease> {
    const definition = this.plane.definition();
    const { pins } = this.plane;
    const [named, kind] = pins ? chosen({ session }, "") : ["", "request"];
    if (!pins || kind !== "session") return definition.evaluate(this.#key, this.#attributes);
    const pin = await pins.find(named, this.presented);
    const held = pin && definition.known(pin.release, pin.channel);
    if (held) {
      this.pinToken = pin.token ?? null;
      return held;
    }
    const fresh = definition.evaluate(this.#key, this.#attributes);
    const kept = await pins.keep(named, { release: fresh.id, channel: fresh.channel }, this.plane.sessionS, pin);
    this.pinToken = kept.token ?? null;
    if (pin) this.outcome({ repinned: true });
    return definition.known(kept.release, kept.channel) ?? fresh;
  }

  /** The two headers of every call that this request causes (spec C1); none before it is resolved. */
  headers(): Carried | Record<string, never> {
    return this.release ? outgoing(this.release.id, this.others) : {};
  }

  /** What is left of the latency budget, in seconds; null where there is none. */
  get leftS(): number | null {
    const budget = this.plane.latencyBudgetS;
    return budget === null ? null : budget - (seconds() - this.#began);
  }

  /** A slot was late, and this one answers for it: its outcome says so. */
  fellBack(slot: string, fallback: string): void {
    const before = (this.#fields["fell_back"] ?? {}) as Record<string, string>;
    this.outcome({ fell_back: { ...before, [slot]: fallback }, fallbacks: Object.keys(before).length + 1 });
  }

  /** Adds to its outcome: tokens, cost, judgements of monitors, labels. */
  outcome(fields: Fields): void {
    const kept = usable(fields);
    Object.assign(this.#fields, kept);
    tag(activeSpan(), genAi(kept));
  }

  /** A byte of the answer goes out: the first one is its time to first token, the newest one its latency. */
  byte(): void {
    this.#last = seconds();
    this.#first ??= this.#last;
  }

  /** The JSON that its caller gets where it is refused. */
  refused(): { error: string; release: string | null } {
    const body = this.refusal!.body();
    return { ...body, release: body.release ?? this.release?.id ?? null };
  }

  /** It is over: no longer in flight, and its outcome is written. Called again, it does nothing. */
  finish(error: boolean): void {
    if (this.#over) return;
    this.#over = true;
    const { release, refusal } = this;
    const refused = refusal !== null && refusal.status >= 500;
    if (!release && !refused) return; // never resolved, or its caller's own mistake: nothing was served
    const ended = this.#last ?? seconds();
    this.plane.outcomes.write({
      time: Date.now() / 1000,
      request: this.id,
      key: this.#key || null,
      key_kind: this.#kind,
      channel: release?.channel ?? null,
      release: release?.id ?? null,
      components: release?.artifacts ?? {},
      attributes: this.#attributes,
      replica: this.plane.replica,
      latency_s: rounded(ended - this.#began),
      ttft_s: rounded((this.#first ?? ended) - this.#began),
      ...this.#fields,
      error: Boolean(this.#fields["error"]) || error || refused,
    });
    if (release) this.plane.counts.leave(release.id); // last: what counts as finished has left its outcome
  }
}

const rounded = (value: number): number => Math.round(value * 1e6) / 1e6;
