/**
 * What this replica evaluates: the newest definition that was good, which outlives its source and restarts (spec D).
 *
 * `current` is replaced as a whole, so a request sees one definition or the other, never a part of each. Whatever can't be
 * used leaves it as it is, and `degraded` says why.
 */

import { mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Definition } from "./definitions.js";
import { said } from "./errors.js";
import type { Source } from "./sources.js";

export class Flags {
  current: Definition | null = null;
  #stale: string | null = null;
  #unkept: string | null = null;

  constructor(
    private readonly pipeline: string,
    private readonly source: Source,
    private readonly lastKnown: string,
  ) {}

  /** Why it goes on with what it last knew; false where all is well. */
  get degraded(): string | false {
    const goingOn = this.current ? "it goes on with the last known" : "nothing is known yet, so requests get 503";
    return [this.#stale && `${this.#stale}; ${goingOn}`, this.#unkept].filter(Boolean).join("; ") || false;
  }

  /** Reads the source once, and takes what is good. Whether another definition is evaluated now. */
  async refresh(wait: boolean, signal: AbortSignal): Promise<boolean> {
    let text: string | null;
    try {
      text = await this.source.read(wait, signal);
    } catch (error) {
      return !signal.aborted && this.#fallBack(said(error));
    }
    if (text === null) return false;
    if (text === this.current?.text) {
      this.#stale = null;
      return false;
    }
    try {
      this.current = new Definition(text, this.pipeline);
    } catch (error) {
      return this.#fallBack(`the definition can't be used: ${said(error)}`);
    }
    this.#keep(text);
    this.#stale = null;
    return true;
  }

  pauseS(): number {
    return this.source.pauseS(this.#stale !== null);
  }

  /** Goes on with what was last known, from before this process began where it knows nothing itself. */
  #fallBack(why: string): boolean {
    this.#stale = why;
    if (this.current) return false;
    try {
      this.current = new Definition(readFileSync(this.lastKnown, "utf8"), this.pipeline);
      return true;
    } catch {
      return false; // nothing was kept, or nothing that is whole: 503 until the source is right
    }
  }

  /** Writes it whole or not at all, beside itself: a process that starts later reads one or the other. */
  #keep(text: string): void {
    const scratch = `${this.lastKnown}-${process.pid}-${Math.random().toString(36).slice(2)}`;
    try {
      mkdirSync(dirname(this.lastKnown), { recursive: true });
      writeFileSync(scratch, text);
      renameSync(scratch, this.lastKnown);
      this.#unkept = null;
    } catch (error) {
      this.#unkept = `the last known definition can't be kept at ${this.lastKnown} (${said(error)})`;
      try {
        unlinkSync(scratch);
      } catch {
        // it was never written
      }
    }
  }
}
