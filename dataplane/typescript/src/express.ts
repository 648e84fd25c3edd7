/**
 * Express, Connect, and any handler of Node's own HTTP server.
 *
 *     app.use(rollcast(plane));       // before anything that reads bodies
 *
 * A request is open until the last byte of its answer is handed to the system or its client is gone, so a stream is in
 * flight until then. A request that never resolves is not counted and leaves no outcome.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import * as control from "./control.js";
import { Refused } from "./errors.js";
import { PIN_COOKIE, PIN_HEADER } from "./pins.js";
import type { DataPlane } from "./plane.js";
import { BAGGAGE, HEADER, withoutOurs } from "./propagation.js";
import { CURRENT, type ServedRequest } from "./requests.js";

export type Next = (error?: unknown) => void;
export type Middleware = (request: IncomingMessage, response: ServerResponse, next: Next) => void;

/** Opens a request for each that comes in, answers the control endpoint, and starts the kit. */
export function rollcast(plane: DataPlane): Middleware {
  return (request, response, next) => {
    const path = pathOf(request);
    if (path.startsWith(control.PREFIX)) {
      answerControl(plane, request, response, path).catch(next);
    } else if (plane.started) {
      serve(plane, request, response, next);
    } else {
      plane.start().then(() => serve(plane, request, response, next), next);
    }
  };
}

function serve(plane: DataPlane, request: IncomingMessage, response: ServerResponse, next: Next): void {
  const caller = request.socket.remoteAddress;
  const opened = plane.open({
    header: text(request, HEADER),
    baggage: text(request, BAGGAGE),
    named: text(request, "x-request-id"),
    presented: text(request, PIN_HEADER) || cookie(text(request, "cookie")),
    ...(caller ? { caller } : {}),
  });
  if (!plane.trusts(caller)) strip(request);
  CURRENT.run(opened, () => {
    follow(opened, request, response);
    if (opened.refusal) json(response, opened.refusal.status, opened.refused());
    else next();
  });
}

/** Tags the answer, notes its bytes, and ends the request when it is over. */
function follow(opened: ServedRequest, request: IncomingMessage, response: ServerResponse): void {
  const { writeHead, write, end } = response;
  response.writeHead = function (this: ServerResponse, ...given: any[]): ServerResponse {
    if (opened.release) {
      response.setHeader(HEADER, opened.release.id);
      if (opened.pinToken) {
        response.setHeader(PIN_HEADER, opened.pinToken);
        response.appendHeader("set-cookie", `${PIN_COOKIE}=${opened.pinToken}; Path=/; HttpOnly; SameSite=Lax`);
      }
    }
    return writeHead.apply(response, given as Parameters<typeof writeHead>);
  } as typeof writeHead;
  response.write = function (...given: any[]): boolean {
    if (given[0]?.length) opened.byte();
    return write.apply(response, given as Parameters<typeof write>);
  } as typeof write;
  response.end = function (...given: any[]): ServerResponse {
    const refusal = opened.refusal;
    // A framework's own words for what we refused.
    if (refusal && !response.headersSent && (response.statusCode >= 500 || response.statusCode === refusal.status)) {
      for (const name of response.getHeaderNames()) {
        if (name.startsWith("content-") || name === "etag") response.removeHeader(name);
      }
      response.statusCode = refusal.status;
      response.setHeader("content-type", "application/json");
      given = [JSON.stringify(opened.refused())];
    }
    if (typeof given[0] === "string" || given[0] instanceof Uint8Array) opened.byte();
    return end.apply(response, given as unknown as Parameters<typeof end>);
  } as typeof end;
  response.once("close", () => {
    const { socket } = request;
    const whole = response.writableFinished;
    // The client went away (its side of the connection ended), or else the service broke it off.
    const cancelled = !whole && !response.errored && (socket.readableEnded || Boolean(socket.errored));
    if (cancelled) opened.outcome({ cancelled: true });
    opened.finish(whole ? response.statusCode >= 500 : !cancelled);
  });
}

/** An outsider's release is gone before the service sees it; other members of the baggage stay (spec C4). */
function strip(request: IncomingMessage): void {
  const { headers, rawHeaders } = request;
  if (headers[HEADER] === undefined && headers[BAGGAGE] === undefined) return;
  const left = withoutOurs(text(request, BAGGAGE));
  const kept: string[] = left ? [BAGGAGE, left] : [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase();
    if (name !== HEADER && name !== BAGGAGE) kept.push(rawHeaders[at]!, rawHeaders[at + 1]!);
  }
  rawHeaders.splice(0, rawHeaders.length, ...kept);
  delete headers[HEADER];
  delete headers[BAGGAGE];
  if (left) headers[BAGGAGE] = left;
}

async function answerControl(
  plane: DataPlane, request: IncomingMessage, response: ServerResponse, path: string,
): Promise<void> {
  const read = (request as { body?: unknown }).body;
  const body = read ?? (request.method === "GET" ? "" : await bodyOf(request));
  const found = await control.answer(plane, request.method ?? "GET", path, text(request, "authorization"), body);
  json(response, found.status, found.body);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    if ((size += part.length) > control.MOST_BYTES) return "";
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.statusCode = status;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(body));
}

function pathOf(request: IncomingMessage): string {
  const url = (request as { originalUrl?: string }).originalUrl ?? request.url ?? "";
  return url.split("?", 1)[0]!;
}

/** A header as one text; a value that no header can have is not there. */
function text(request: IncomingMessage, name: string): string {
  const found = request.headers[name];
  return Array.isArray(found) ? found.join(",") : (found ?? "");
}

function cookie(header: string): string {
  for (const part of header.split(";")) {
    const at = part.indexOf("=");
    if (part.slice(0, at).trim() === PIN_COOKIE) return part.slice(at + 1).trim();
  }
  return "";
}

/** Whether an error is a refusal, for error handlers of your own: its `status` and `body()` are the answer. */
export const isRefused = (error: unknown): error is Refused => error instanceof Refused;
