/** A release as a request sees it: one variant of the flag, read-only. */

import { BadDefinition, NoRelease } from "./errors.js";

export interface Component {
  artifact: string;
  digest: string;
  instance: string;
  cache?: string;
  parameters?: Record<string, unknown>;
  [more: string]: unknown;
}

const ID = /^[!#-+\--:<-[\]-~]{1,256}$/;
const isObject = (value: unknown): value is Record<string, any> =>
  value !== null && typeof value === "object" && !Array.isArray(value);

/** What serves a request, from the first component to the last. Made once for each variant; never changes. */
export class ServingRelease {
  readonly id: string;
  readonly channel: string;
  /** Slot -> {artifact, digest, instance, …}. */
  readonly components: Readonly<Record<string, Component>>;
  /** Slot -> name@version, as outcomes are tagged. */
  readonly artifacts: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Feature flags of the release. */
  readonly flags: Readonly<Record<string, unknown>>;

  /** `variant`: as it stands in the flag. Throws BadDefinition where it is no release. */
  constructor(readonly variant: Readonly<Record<string, any>>) {
    const { release, components = {} } = variant;
    if (typeof release !== "string" || !ID.test(release)) {
      throw new BadDefinition(`a variant names the release ${JSON.stringify(release)?.slice(0, 80)}, which can't be an id`);
    }
    if (!isObject(components) || !Object.values(components).every(isObject)) {
      throw new BadDefinition(`release ${release} has components that are no objects`);
    }
    this.id = release;
    this.channel = String(variant["channel"] || "default");
    this.components = components as Record<string, Component>;
    this.artifacts = Object.fromEntries(
      Object.entries(components).map(([slot, each]) => [slot, String(each["artifact"] ?? "")]),
    );
    this.parameters = variant["parameters"] ?? {};
    this.flags = variant["flags"] ?? {};
  }

  /** All that fills a slot. Throws NoRelease where the release has no such slot. */
  component(slot: string): Component {
    if (!Object.hasOwn(this.components, slot)) {
      throw new NoRelease(`Release ${this.id} has no component '${slot}'. Correct the declaration.`, this.id);
    }
    return this.components[slot]!;
  }

  /** Where the component of a slot runs: a folder below the target's instances, or what the target names. */
  instance(slot: string): string {
    return String(this.component(slot).instance ?? "");
  }

  /** A declared parameter of a slot. */
  parameter<T>(slot: string, name: string, otherwise?: T): T | undefined {
    return (this.component(slot).parameters?.[name] as T) ?? otherwise;
  }

  /** A feature flag of the release. */
  flag<T>(name: string, otherwise?: T): T | undefined {
    return (this.flags[name] as T) ?? otherwise;
  }

  /**
   * What a cached value is kept under (spec K1): the release, or with `slots` whatever can have made theirs. A slot whose
   * upstream did not change keeps its cache in the next release.
   */
  cacheKey(...slots: string[]): string {
    if (!slots.length) return this.id;
    return slots.map((slot) => this.component(slot).cache || this.id).join("|");
  }
}
