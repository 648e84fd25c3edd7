/**
 * Canonical JSON as rollcast digests it: sorted keys, no spaces, UTF-8. It reads the text itself, because `JSON.parse`
 * forgets whether a number was written `1` or `1.0`, and another digest of the same content would be another flag.
 */

import { createHash } from "node:crypto";
import { floatText } from "./keys.js";

const TOKEN = /\s*(?:([{}[\]:,])|("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))/y;

/** The canonical text of some fields of a JSON object within a document; an absent one is null. Null: it is not there. */
export function canonicalFields(text: string, path: readonly string[], fields: readonly string[]): string | null {
  let found: Node | undefined = new Reader(text).value();
  for (const name of path) found = found instanceof Map ? found.get(name) : undefined;
  if (!(found instanceof Map)) return null;
  return written(new Map(fields.map((name) => [name, (found as Map<string, Node>).get(name) ?? "null"])));
}

export const sha256 = (text: string): string => "sha256:" + createHash("sha256").update(text, "utf8").digest("hex");

/** Scalars are their canonical text already. */
type Node = string | Node[] | Map<string, Node>;

class Reader {
  #at = 0;
  constructor(private readonly text: string) {}

  #next(): { mark?: string; scalar?: string; key?: string } {
    TOKEN.lastIndex = this.#at;
    const [, mark, string, number, word] = TOKEN.exec(this.text) ?? [];
    this.#at = TOKEN.lastIndex;
    if (mark) return { mark };
    if (string) {
      const key = JSON.parse(string) as string;
      return { scalar: JSON.stringify(key), key };
    }
    if (number) return { scalar: numberText(number) };
    if (word) return { scalar: word };
    throw new SyntaxError("it is no whole JSON");
  }

  value(token = this.#next()): Node {
    if (token.scalar !== undefined) return token.scalar;
    if (token.mark === "[") return this.#list();
    if (token.mark === "{") return this.#object();
    throw new SyntaxError("it is no whole JSON");
  }

  #list(): Node[] {
    const items: Node[] = [];
    for (let token = this.#next(); token.mark !== "]"; token = this.#next()) {
      items.push(this.value(token.mark === "," ? this.#next() : token));
    }
    return items;
  }

  #object(): Map<string, Node> {
    const found = new Map<string, Node>();
    for (let token = this.#next(); token.mark !== "}"; token = this.#next()) {
      const key = (token.mark === "," ? this.#next() : token).key;
      if (key === undefined || this.#next().mark !== ":") throw new SyntaxError("it is no whole JSON");
      found.set(key, this.value());
    }
    return found;
  }
}

function numberText(raw: string): string {
  if (/[.eE]/.test(raw)) return floatText(Number(raw));
  return raw === "-0" ? "0" : raw;
}

function written(node: Node): string {
  if (typeof node === "string") return node;
  if (Array.isArray(node)) return `[${node.map(written).join(",")}]`;
  const names = [...node.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))); // by code point
  return `{${names.map((name) => `${JSON.stringify(name)}:${written(node.get(name)!)}`).join(",")}}`;
}
