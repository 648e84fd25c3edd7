/**
 * Sessions keep the release that they began with, on every replica, for as long as is declared and no longer (spec P).
 *
 * - `FilePins`: a folder that all Node processes of a machine share. The default.
 * - `SignedPins`: a token that travels with the client (response header `x-rollcast-pin`, or a cookie), signed and bound to
 *   the session: any number of machines, nothing stored, the same form as in the Python kit. It needs one secret on all of
 *   them, and a client that returns it.
 * - `MemoryPins`: one process; enough where a proxy sends a session to the same process each time.
 *
 * Anything else with the same two methods does as well; both may give a promise (Redis, say).
 */

import { createHash, createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join } from "node:path";

export const PIN_HEADER = "x-rollcast-pin";
export const PIN_COOKIE = "rollcast_pin";
const SWEEP = 1000;

/** What a session began with. `token`: what the client is to bring next time, if anything. */
export interface Pin {
  release: string;
  channel: string;
  token?: string;
}

type Maybe<T> = T | Promise<T>;

export interface Pins {
  /** The pin of a session, if it has one that is not over. `presented`: the token that the client brought. */
  find(session: string, presented: string | null): Maybe<Pin | null>;
  /** Pins a session that has none, or only `insteadOf`. What holds then: of two that begin at once, the first. */
  keep(session: string, pin: Pin, sessionS: number, insteadOf: Pin | null): Maybe<Pin>;
}

const now = (): number => Date.now() / 1000;

/** Pins of one process, at most `most`: the oldest goes first. */
export class MemoryPins implements Pins {
  readonly #pins = new Map<string, { until: number; pin: Pin }>();
  constructor(private readonly most = 100_000) {}

  find(session: string): Pin | null {
    const held = this.#pins.get(session);
    return held && held.until > now() ? held.pin : null;
  }

  keep(session: string, pin: Pin, sessionS: number, insteadOf: Pin | null): Pin {
    const held = this.find(session);
    if (held && held.release !== insteadOf?.release) return held;
    this.#pins.delete(session);
    this.#pins.set(session, { until: now() + sessionS, pin });
    if (this.#pins.size > this.most) this.#pins.delete(this.#pins.keys().next().value!);
    return pin;
  }
}

/** Pins that clients carry. Nobody without the secret can make one, or move one to another session. */
export class SignedPins implements Pins {
  readonly #secret: string;

  /** `secret`: the same on all replicas; ROLLCAST_PIN_SECRET where none is given. Throws Error. */
  constructor(secret = process.env["ROLLCAST_PIN_SECRET"]) {
    if (!secret || secret.length < 16) {
      throw new Error("SignedPins needs a secret of 16 characters or more: set ROLLCAST_PIN_SECRET on all replicas.");
    }
    this.#secret = secret;
  }

  find(session: string, presented: string | null): Pin | null {
    if (!presented || presented.length > 1024) return null;
    const dot = presented.lastIndexOf(".");
    const [text, given] = [presented.slice(0, Math.max(dot, 0)), Buffer.from(presented.slice(dot + 1))];
    const right = Buffer.from(this.#signature(session, text));
    if (given.length !== right.length || !timingSafeEqual(given, right)) return null;
    const [until, release, channel, more] = Buffer.from(text, "base64url").toString().split(" ");
    if (!release || !channel || more !== undefined || !(Number(until) > now())) return null;
    return { release, channel, token: presented };
  }

  keep(session: string, { release, channel }: Pin, sessionS: number): Pin {
    const content = Buffer.from(`${Math.round(now() + sessionS)} ${release} ${channel}`).toString("base64url");
    const text = content + "=".repeat((4 - (content.length % 4)) % 4);
    return { release, channel, token: `${text}.${this.#signature(session, text)}` };
  }

  #signature(session: string, text: string): string {
    return createHmac("sha256", this.#secret).update(`${text}\n${session}`).digest().subarray(0, 18).toString("base64url");
  }
}

/**
 * Pins in a folder, one small file each. A file comes to be by one link, so of two sessions that begin at once the first
 * holds; what replaces it is claimed under a name of the old content, so that there too one of them wins.
 */
export class FilePins implements Pins {
  #puts = 0;
  constructor(private readonly folder: string, private readonly most = 100_000) {}

  find(session: string): Pin | null {
    const held = this.#read(this.#path(session));
    return held && held.until > now() ? held.pin : null;
  }

  keep(session: string, { release, channel }: Pin, sessionS: number, insteadOf: Pin | null): Pin {
    const path = this.#path(session);
    const until = now() + sessionS;
    const text = JSON.stringify({ release, channel, until });
    const scratch = join(this.folder, `.${randomUUID()}`);
    fs.mkdirSync(dirname(path), { recursive: true });
    fs.writeFileSync(scratch, text);
    try {
      const held = this.#linked(scratch, path);
      if (!held) return { release, channel };
      if (held.until > now() && held.pin.release !== insteadOf?.release) return held.pin;
      const claim = `${path}.${createHash("sha256").update(held.text).digest("hex").slice(0, 16)}`;
      const won = this.#linked(scratch, claim);
      if (won) return won.pin;
      fs.renameSync(scratch, path);
      return { release, channel };
    } finally {
      fs.rmSync(scratch, { force: true });
      if (++this.#puts % SWEEP === 0) this.#sweep();
    }
  }

  #path(session: string): string {
    const name = createHash("sha256").update(session).digest("hex").slice(0, 40);
    return join(this.folder, name.slice(0, 2), name);
  }

  #read(path: string): { until: number; pin: Pin; text: string } | null {
    try {
      const text = fs.readFileSync(path, "utf8");
      const { release, channel, until } = JSON.parse(text);
      return typeof release === "string" && typeof until === "number" ? { until, pin: { release, channel }, text } : null;
    } catch {
      return null;
    }
  }

  /** What is at the path already; null where the link was made, or what is there can't be read. */
  #linked(scratch: string, path: string): { until: number; pin: Pin; text: string } | null {
    try {
      fs.linkSync(scratch, path);
      return null;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const held = this.#read(path);
      if (held) return held;
      fs.renameSync(scratch, path); // not a pin: another tool's file, or damaged
      return null;
    }
  }

  #sweep(): void {
    const found: { path: string; until: number }[] = [];
    for (const part of fs.readdirSync(this.folder)) {
      if (part.length !== 2) continue;
      for (const name of fs.readdirSync(join(this.folder, part))) {
        const path = join(this.folder, part, name);
        found.push({ path, until: this.#read(path)?.until ?? 0 });
      }
    }
    found.sort((a, b) => b.until - a.until);
    const over = found.filter(({ until }, at) => until <= now() || at >= this.most);
    for (const { path } of over) fs.rmSync(path, { force: true });
  }
}
