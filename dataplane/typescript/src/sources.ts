/** Where definitions come from: a file on this machine, or relays. Both only read text; it is judged elsewhere. */

import { readFile, stat } from "node:fs/promises";
import { said, SourceGone } from "./errors.js";

export const PROTOCOL = 1;
const POLL_S = 0.2;
const LONG_POLL_S = 20;
const ANSWER_S = 3;
const AGAIN_S = 1;

export interface Source {
  /** The text, or null where it is what it was at the last read. `wait`: it may wait for a change. Rejects: SourceGone. */
  read(wait: boolean, signal: AbortSignal): Promise<string | null>;
  /** Seconds to rest before the next read. */
  pauseS(failed: boolean): number;
}

/** A definition file, looked at five times a second. */
export class FileSource implements Source {
  #seen = "";
  constructor(private readonly path: string) {}

  async read(): Promise<string | null> {
    try {
      const { mtimeNs, ino, size } = await stat(this.path, { bigint: true });
      const seen = `${mtimeNs} ${ino} ${size}`;
      if (seen === this.#seen) return null;
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await readFile(this.path));
      this.#seen = seen;
      return text;
    } catch (error) {
      this.#seen = "";
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "ENOENT") throw new SourceGone(`${this.path} is not there`);
      throw new SourceGone(`${this.path} can't be read (${code ?? "no UTF-8"})`);
    }
  }

  pauseS(): number {
    return POLL_S;
  }
}

/** The first relay that answers, called again as soon as it has: it holds its answer until something changes. */
export class RelaySource implements Source {
  #tag: string | null = null;
  #from: Relay | null = null;
  constructor(readonly relays: readonly Relay[]) {}

  async read(wait: boolean, signal: AbortSignal): Promise<string | null> {
    const failures: string[] = [];
    const [from, tag] = [this.#from, this.#tag];
    const others = this.relays.filter((each) => each !== from);
    for (const relay of from ? [from, ...others] : others) {
      const known = relay === from ? tag : null;
      const waitS = wait && known ? LONG_POLL_S : 0;
      try {
        const headers: Record<string, string> = known ? { "if-none-match": known } : {};
        const path = `/rollcast/v1/flags?wait_s=${waitS}`;
        const answer = await relay.ask("GET", path, undefined, headers, ANSWER_S + waitS, signal);
        if (answer.status === 304) return null;
        if (answer.status === 200) {
          [this.#from, this.#tag] = [relay, answer.tag];
          return answer.text;
        }
        failures.push(`relay ${relay.url} answers ${answer.status}${named(answer.text)}`);
      } catch (error) {
        failures.push(said(error));
      }
    }
    this.#from = this.#tag = null;
    throw new SourceGone(failures.join("; "));
  }

  pauseS(failed: boolean): number {
    return !failed && this.#tag ? 0 : AGAIN_S;
  }
}

export interface Answer {
  status: number;
  tag: string | null;
  text: string;
}

/** One relay, by plain HTTP. No redirection is followed: the token goes where it was meant to, or nowhere. */
export class Relay {
  readonly url: string;
  constructor(url: string, private readonly token: string | undefined) {
    this.url = url.replace(/\/+$/, "");
  }

  /** Rejects with SourceGone where nothing answers. */
  async ask(
    method: string, path: string, body: unknown, headers: Record<string, string>, timeoutS: number, signal?: AbortSignal,
  ): Promise<Answer> {
    const limit = AbortSignal.timeout(timeoutS * 1000);
    try {
      const reply = await fetch(this.url + path, {
        method,
        redirect: "error",
        signal: signal ? AbortSignal.any([limit, signal]) : limit,
        headers: {
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: reply.status, tag: reply.headers.get("etag"), text: await reply.text() };
    } catch (error) {
      const cause = (error as { cause?: NodeJS.ErrnoException }).cause;
      throw new SourceGone(`relay ${this.url} does not answer (${cause?.code ?? said(cause ?? error)})`);
    }
  }
}

/** What a refusal says of itself. */
function named(text: string): string {
  try {
    const error: unknown = JSON.parse(text)?.error;
    return error ? ` (${String(error).slice(0, 200)})` : "";
  } catch {
    return "";
  }
}
