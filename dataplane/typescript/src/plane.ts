/**
 * The data plane of one pipeline in one process: the whole kit in one object.
 *
 *     const plane = new DataPlane("help-desk", { definition: "flags.json", telemetry: "telemetry" });
 *     const release = await plane.resolve({ user: body.user, session: body.session });
 *
 * Everything is decided by what the release says; nothing here asks which version is live.
 */

import { randomUUID } from "node:crypto";
import { BlockList, isIP } from "node:net";
import { join } from "node:path";
import { Background } from "./acknowledging.js";
import { ReleaseCounts } from "./counting.js";
import { type Definition, flagKey } from "./definitions.js";
import { NoRelease, Refused, UnknownRelease } from "./errors.js";
import { Flags } from "./flags.js";
import { BUCKETING } from "./hashing.js";
import { type Fields, OutcomeLog } from "./outcomes.js";
import { FilePins, type Pins } from "./pins.js";
import { BAGGAGE, HEADER, incoming } from "./propagation.js";
import type { ServingRelease } from "./releases.js";
import { type ResolveOptions, CURRENT, ServedRequest } from "./requests.js";
import { FileSource, PROTOCOL, Relay, RelaySource } from "./sources.js";

export const VERSION = "0.1.0";
export const KIT = `rollcast-dataplane-typescript/${VERSION}`;
const MOST_WARM = 4096;

export interface Settings {
  /** Where flags come from: a definition file … */
  definition?: string;
  /** … or the addresses of relays. All of them are acknowledged to. */
  relays?: readonly string[];
  /** Folder of the last known definition and of pinned sessions. */
  state?: string;
  /** Folder of outcomes; without one they go to OpenTelemetry alone. */
  telemetry?: string;
  /** Makes an instance ready. It throws, or gives false, where it is not yet. */
  warm?: (instance: string) => unknown;
  /** A suite on a release that may serve nobody yet. */
  evaluate?: (release: ServingRelease, suite: string) => Evaluated | Promise<Evaluated>;
  /** Whose headers give a release (spec C4): nobody; true, every caller; else networks such as "10.0.0.0/8". */
  trust?: boolean | readonly string[];
  /** Where sessions keep their release; null: they don't. */
  pins?: Pins | null;
  /** The longest that a session keeps its release. */
  sessionS?: number;
  /** What `call` has for a whole request. */
  latencyBudgetS?: number;
}

export interface Evaluated {
  cases: number;
  metrics: Record<string, number>;
}

/** What comes with a request. */
export interface Incoming {
  header?: string;
  baggage?: string;
  caller?: string;
  /** What the client calls the request: `x-request-id`. */
  named?: string;
  presented?: string;
}

/** One pipeline, served by this process. */
export class DataPlane {
  readonly replica = randomUUID().replaceAll("-", "").slice(0, 16);
  readonly counts = new ReleaseCounts();
  readonly flags: Flags;
  readonly outcomes: OutcomeLog;
  readonly pins: Pins | null;
  readonly sessionS: number;
  readonly latencyBudgetS: number | null;
  readonly evaluateHook: Settings["evaluate"];
  readonly token = process.env["ROLLCAST_ENDPOINT_TOKEN"] || null;
  /** Whether the source was looked at, so that a request need not wait for it. */
  started = false;
  readonly #trusted: true | BlockList | null;
  readonly #warmHook: Settings["warm"];
  readonly #warm = new Set<string>();
  readonly #background: Background;
  #starting: Promise<void> | null = null;

  /** Throws Error where the settings contradict each other. */
  constructor(readonly pipeline: string, settings: Settings) {
    const { definition, relays: urls = [], state = ".rollcast/dataplane", telemetry = null } = settings;
    if ((definition === undefined) === (urls.length === 0)) {
      throw new Error("Give the data plane either a definition file or relays, and not both.");
    }
    const relays = urls.map((url) => new Relay(url, process.env["ROLLCAST_RELAY_TOKEN"]));
    const source = definition === undefined ? new RelaySource(relays) : new FileSource(definition);
    this.flags = new Flags(pipeline, source, join(state, `${pipeline}.json`));
    this.outcomes = new OutcomeLog(telemetry);
    this.pins = settings.pins === undefined ? new FilePins(join(state, "pins")) : settings.pins;
    this.sessionS = settings.sessionS ?? 3600;
    this.latencyBudgetS = settings.latencyBudgetS ?? null;
    this.evaluateHook = settings.evaluate;
    this.#warmHook = settings.warm;
    this.#trusted = trusted(settings.trust ?? false);
    this.#background = new Background(this, relays);
  }

  // ---- the life of the process ----------------------------------------------------------------

  /** Reads the definition, and begins to watch it and to acknowledge. The first request does it too. */
  start(): Promise<void> {
    return (this.#starting ??= this.#background.start().then(() => {
      this.started = true;
    }));
  }

  /** Ends what runs beside the requests, and says goodbye to the relays. */
  async stop(): Promise<void> {
    if (this.#starting) await this.#background.stop();
  }

  /** What is evaluated now. Throws NoRelease where nothing ever was. */
  definition(): Definition {
    const found = this.flags.current;
    if (found) return found;
    throw new NoRelease(`There is no release of ${this.pipeline} yet: ${this.flags.degraded}. Apply one, or wait.`);
  }

  // ---- requests ---------------------------------------------------------------------------------

  /** A request that comes in with these headers from this address. `refusal` is set where it can't be served. */
  open({ header = "", baggage = "", caller, named, presented }: Incoming): ServedRequest {
    let release: string | null = null;
    let others: string[] = [];
    let refusal: Refused | null = null;
    try {
      if (header || baggage) ({ release, others } = incoming(header, baggage, this.trusts(caller)));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refusal = error;
    }
    const made = new ServedRequest(this, named?.slice(0, 256), others, presented ?? null);
    try {
      if (release !== null) made.serve(this.#given(release));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refusal = error;
    }
    made.refusal = refusal;
    return made;
  }

  #given(release: string): ServingRelease {
    const found = this.definition().known(release);
    if (found) return found;
    throw new UnknownRelease(
      `The caller gave release ${JSON.stringify(release.slice(0, 80))}, which is not among those of ` +
        `${flagKey(this.pipeline)} here. Ask another replica, or begin the request again.`,
      release.slice(0, 256),
    );
  }

  /**
   * Serves one request without an adapter: a job, a message of a queue, a plain function. Rejects with Refused.
   * `headers`: what came with it (a message's, say), trusted as `trust: true` says.
   */
  async request<T>(
    options: ResolveOptions & { headers?: Readonly<Record<string, string>> },
    work: (request: ServedRequest, release: ServingRelease) => T | Promise<T>,
  ): Promise<T> {
    await this.start();
    const found = Object.fromEntries(Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
    const [header = "", baggage = "", named = ""] = [found[HEADER], found[BAGGAGE], found["x-request-id"]];
    const made = this.open({ header, baggage, named });
    return CURRENT.run(made, async () => {
      let error = true;
      try {
        const result = await work(made, await made.resolve(options));
        error = false;
        return result;
      } finally {
        made.finish(error);
      }
    });
  }

  /** The release of the request that this code runs for. Rejects with Refused, which the adapters answer. */
  async resolve(options: ResolveOptions = {}): Promise<ServingRelease> {
    return this.current().resolve(options);
  }

  /** The request that this code runs for. Throws Error where there is none. */
  current(): ServedRequest {
    const found = CURRENT.getStore();
    if (found) return found;
    throw new Error("No request is open here: add the middleware, or use 'plane.request(…)'.");
  }

  /** Adds to the outcome of the request that this code runs for. */
  outcome(fields: Fields): void {
    this.current().outcome(fields);
  }

  /** Whether a caller at this address may give a release. */
  trusts(caller: string | undefined): boolean {
    if (this.#trusted === null || this.#trusted === true) return this.#trusted === true;
    const address = (caller ?? "").replace(/^::ffff:(?=\d+\.)/i, "");
    const family = isIP(address);
    return family !== 0 && this.#trusted.check(address, family === 4 ? "ipv4" : "ipv6");
  }

  // ---- the control endpoint -----------------------------------------------------------------------

  /** What this replica says of itself (spec A1). */
  state(): Record<string, unknown> & { replica: string; warm: string[] } {
    const degraded = [this.flags.degraded, this.#background.refused, this.outcomes.failed].filter(Boolean).join("; ");
    return {
      protocol: PROTOCOL,
      kit: KIT,
      replica: this.replica,
      bucketing: BUCKETING,
      definitions: { [flagKey(this.pipeline)]: this.flags.current?.content ?? null },
      ...this.counts.read(),
      warm: [...this.#warm],
      degraded: degraded || false,
      time: Date.now() / 1000,
    };
  }

  /** Resolves when an instance is ready. Rejects with NoRelease, or with what the hook throws, where it is not. */
  async makeWarm(instance: string): Promise<void> {
    if ((await this.#warmHook?.(instance)) === false) throw new NoRelease(`${instance} is not ready yet. Ask again.`);
    this.#warm.add(instance);
    if (this.#warm.size > MOST_WARM) this.#warm.delete(this.#warm.values().next().value!);
  }
}

function trusted(trust: boolean | readonly string[]): true | BlockList | null {
  if (typeof trust === "boolean") return trust || null;
  const list = new BlockList();
  for (const network of trust) {
    const [address = "", bits] = network.split("/");
    const family = isIP(address);
    if (!family) throw new Error(`'trust' names ${JSON.stringify(network)}, which is no network. Write one as "10.0.0.0/8".`);
    list.addSubnet(address, Number(bits ?? (family === 4 ? 32 : 128)), family === 4 ? "ipv4" : "ipv6");
  }
  return list;
}
