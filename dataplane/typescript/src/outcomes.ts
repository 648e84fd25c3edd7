/**
 * One outcome for each request (spec T): a JSON line in the form that rollcast reads, and attributes of OpenTelemetry.
 *
 * A line is written with one append, so the processes of a machine may share a file, and before the request counts as
 * finished. OpenTelemetry is used where `@opentelemetry/api` is installed, and is no dependency.
 */

import { closeSync, fstatSync, mkdirSync, openSync, statSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { said } from "./errors.js";

const FILE = "requests.jsonl";
const GEN_AI: Readonly<Record<string, string>> = {
  input_tokens: "gen_ai.usage.input_tokens",
  output_tokens: "gen_ai.usage.output_tokens",
  model: "gen_ai.request.model",
  response_model: "gen_ai.response.model",
  operation: "gen_ai.operation.name",
};

/** Numbers and booleans can be gated; `undefined` and numbers that are none are left out. */
export type Fields = Record<string, unknown>;

/** Appends outcomes to `requests.jsonl` of a folder; without a folder they go to OpenTelemetry alone. */
export class OutcomeLog {
  /** Why the last outcome could not be written. */
  failed: string | null = null;
  #handle = -1;
  constructor(private readonly folder: string | null) {}

  write(record: Fields): void {
    if (this.folder === null) return;
    const path = join(this.folder, FILE);
    try {
      if (this.#handle < 0) {
        mkdirSync(this.folder, { recursive: true });
        this.#handle = openSync(path, "a");
      }
      writeSync(this.#handle, JSON.stringify(record) + "\n");
      this.failed = null;
    } catch (error) {
      this.failed = `outcomes can't be written to ${path} (${said(error)})`; // the request is served all the same
    }
  }

  /** After the file was moved away (rotation), the next record begins a new one. */
  lookAfter(): void {
    if (this.#handle < 0 || this.folder === null) return;
    try {
      if (fstatSync(this.#handle).ino === statSync(join(this.folder, FILE)).ino) return;
    } catch {
      // the file of that name is gone
    }
    closeSync(this.#handle);
    this.#handle = -1;
  }
}

/** Outcome fields as JSON can hold them. */
export function usable(fields: Fields): Fields {
  const kept = Object.entries(fields).filter(([, value]) => {
    return value !== undefined && typeof value !== "function" && !(typeof value === "number" && !Number.isFinite(value));
  });
  return Object.fromEntries(kept.map(([name, value]) => [name, typeof value === "bigint" ? String(value) : value]));
}

interface Span {
  setAttribute(name: string, value: string | number | boolean): unknown;
}

let tracing: { trace: { getActiveSpan(): Span | undefined } } | null | undefined;

/** The span that is current, where the service traces. */
export function activeSpan(): Span | undefined {
  if (tracing === undefined) {
    try {
      tracing = createRequire(import.meta.url)("@opentelemetry/api");
    } catch {
      tracing = null;
    }
  }
  return tracing?.trace.getActiveSpan();
}

export function tag(span: Span | undefined, attributes: Fields): void {
  for (const [name, value] of Object.entries(span ? attributes : {})) {
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
      span!.setAttribute(name, value);
    }
  }
}

/** The attributes of the semantic conventions that outcome fields have, and `rollcast.outcome.<field>` for all others. */
export function genAi(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [GEN_AI[name] ?? `rollcast.outcome.${name}`, value]));
}
