/**
 * A flag definition of one pipeline. A new text is a new one.
 *
 * What is not whole (half a file, another tool's file, a variant that is no release, a split made for another hash) is
 * refused here, before anything is evaluated by it.
 */

import { canonicalFields, sha256 } from "./canonical.js";
import { BadDefinition, NoRelease } from "./errors.js";
import { BUCKETING } from "./hashing.js";
import { compiled, type Context } from "./logic.js";
import { ServingRelease } from "./releases.js";

const READ = ["state", "variants", "defaultVariant", "targeting"] as const;

/** The key of a pipeline's one flag. */
export const flagKey = (pipeline: string): string => `rollcast-${pipeline}`;

export class Definition {
  readonly key: string;
  /** Digest of what is evaluated of the pipeline's flag. */
  readonly content: string;
  readonly #variants = new Map<string, ServingRelease>();
  readonly #known = new Map<string, Map<string, ServingRelease>>();
  readonly #rule: (context: Context) => unknown;
  readonly #enabled: boolean;

  /** Throws BadDefinition. */
  constructor(readonly text: string, pipeline: string) {
    this.key = flagKey(pipeline);
    const flag = flagOf(text, this.key);
    const bucketing = flag["metadata"]?.["rollcast_bucketing"] ?? BUCKETING;
    if (bucketing !== BUCKETING) {
      throw new BadDefinition(`${this.key} was split for ${bucketing}, and this kit evaluates ${BUCKETING}`);
    }
    for (const [name, variant] of Object.entries<Record<string, any>>(flag["variants"])) {
      if (variant["release"] === null || variant["release"] === undefined) continue;
      const release = new ServingRelease(variant);
      this.#variants.set(name, release);
      const channels = this.#known.get(release.id) ?? new Map<string, ServingRelease>();
      this.#known.set(release.id, channels.set(release.channel, release));
    }
    if (flag["state"] !== "ENABLED" && flag["state"] !== "DISABLED") {
      throw new BadDefinition(`the flag ${this.key} is neither ENABLED nor DISABLED`);
    }
    this.#enabled = flag["state"] === "ENABLED";
    const rule = compiled(flag["targeting"] ?? null);
    const hasRule = flag["targeting"] && Object.keys(flag["targeting"]).length > 0;
    this.#rule = (context) => (hasRule ? rule(context) : null) ?? flag["defaultVariant"];
    this.content = sha256(canonicalFields(text, ["flags", this.key], READ) ?? "");
  }

  /** The release that the flag gives a key with these attributes. Throws NoRelease. */
  evaluate(key: string, attributes: Readonly<Record<string, unknown>>): ServingRelease {
    const about = { flagKey: this.key, timestamp: Math.floor(Date.now() / 1000) };
    let variant: unknown;
    try {
      variant = this.#enabled ? this.#rule({ ...attributes, $flagd: about, targetingKey: key }) : null;
    } catch (error) {
      throw new NoRelease(`The flag ${this.key} can't be evaluated (${String(error).slice(0, 200)}). See the attributes.`);
    }
    const found = typeof variant === "string" ? this.#variants.get(variant) : undefined;
    if (!found) throw new NoRelease(`The flag ${this.key} names no release: it is paused. Apply a release, or wait.`);
    return found;
  }

  /** A release among the variants, in this channel where it has it. */
  known(release: string, channel?: string): ServingRelease | undefined {
    const channels = this.#known.get(release);
    return channels?.get(channel ?? "default") ?? channels?.values().next().value;
  }
}

function flagOf(text: string, key: string): Record<string, any> {
  let document: any;
  try {
    document = JSON.parse(text);
  } catch {
    throw new BadDefinition(text.trim() ? "it is no whole JSON" : "it is empty");
  }
  const flags = document?.flags;
  if (flags === null || typeof flags !== "object" || Array.isArray(flags)) {
    throw new BadDefinition('it is no flag definition: it needs {"flags": {…}}');
  }
  if (!Object.hasOwn(flags, key)) throw new BadDefinition(`it holds no flag ${key}`);
  const flag = flags[key];
  const objects = (value: any): boolean => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!objects(flag?.variants) || !Object.values(flag.variants).every(objects)) {
    throw new BadDefinition(`the flag ${key} has no variants that are releases`);
  }
  if (flag.metadata !== undefined && flag.metadata !== null && !objects(flag.metadata)) {
    throw new BadDefinition(`the flag ${key} has metadata that are no object`);
  }
  return flag;
}
