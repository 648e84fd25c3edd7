/**
 * Handlers of the Fetch API, `Request -> Response`: Hono, SvelteKit, Next's route handlers, Deno- and Bun-like servers on Node.
 *
 *     export default { fetch: rollcastFetch(plane, handler, { caller: (request, server) => … }) };
 *
 * A request is open until the body of its response was read to the end or given up.
 */

import * as control from "./control.js";
import { Refused } from "./errors.js";
import { PIN_COOKIE, PIN_HEADER } from "./pins.js";
import type { DataPlane } from "./plane.js";
import { BAGGAGE, HEADER, withoutOurs } from "./propagation.js";
import { CURRENT, type ServedRequest } from "./requests.js";

export interface FetchSettings<Rest extends unknown[]> {
  /** The address of the caller, as the server shows it: without it nobody but `trust: true` is trusted. */
  caller?: (request: Request, ...rest: Rest) => string | undefined;
}

/** The same handler, with a request open for each that comes in, and the control endpoint answered. */
export function rollcastFetch<Rest extends unknown[]>(
  plane: DataPlane,
  handler: (request: Request, ...rest: Rest) => Response | Promise<Response>,
  settings: FetchSettings<Rest> = {},
): (request: Request, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => {
    await plane.start();
    const { pathname } = new URL(request.url);
    const header = (name: string): string => request.headers.get(name) ?? "";
    if (pathname.startsWith(control.PREFIX)) {
      const body = request.method === "GET" ? "" : await request.text();
      const found = await control.answer(plane, request.method, pathname, header("authorization"), body);
      return Response.json(found.body, { status: found.status });
    }
    const caller = settings.caller?.(request, ...rest);
    const opened = plane.open({
      header: header(HEADER),
      baggage: header(BAGGAGE),
      named: header("x-request-id"),
      presented: header(PIN_HEADER) || (header("cookie").match(`(?:^|;\\s*)${PIN_COOKIE}=([^;]*)`)?.[1] ?? ""),
      ...(caller ? { caller } : {}),
    });
    return CURRENT.run(opened, () => served(opened, plane.trusts(caller) ? request : stripped(request), handler, rest));
  };
}

async function served<Rest extends unknown[]>(
  opened: ServedRequest, request: Request, handler: (request: Request, ...rest: Rest) => Response | Promise<Response>, rest: Rest,
): Promise<Response> {
  try {
    if (opened.refusal) throw opened.refusal;
    return followed(opened, await handler(request, ...rest), request.signal);
  } catch (error) {
    opened.finish(!(error instanceof Refused) || error.status >= 500);
    if (!(error instanceof Refused)) throw error;
    opened.refusal ??= error;
    return Response.json(opened.refused(), { status: error.status });
  }
}

function followed(opened: ServedRequest, answer: Response, signal: AbortSignal): Response {
  const headers = new Headers(answer.headers);
  if (opened.release) headers.set(HEADER, opened.release.id);
  if (opened.release && opened.pinToken) {
    headers.set(PIN_HEADER, opened.pinToken);
    headers.append("set-cookie", `${PIN_COOKIE}=${opened.pinToken}; Path=/; HttpOnly; SameSite=Lax`);
  }
  const { status, statusText } = answer;
  const failed = status >= 500;
  const givenUp = (): void => {
    opened.outcome({ cancelled: true });
    opened.finish(false);
  };
  if (!answer.body) {
    opened.finish(failed);
    return new Response(null, { status, statusText, headers });
  }
  signal.addEventListener("abort", givenUp, { once: true });
  const reader = answer.body.getReader();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) {
          controller.close();
          opened.finish(failed);
        } else {
          opened.byte();
          controller.enqueue(value);
        }
      } catch (error) {
        opened.finish(true);
        controller.error(error);
      }
    },
    cancel(reason) {
      givenUp();
      return reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
  return new Response(body, { status, statusText, headers });
}

function stripped(request: Request): Request {
  if (!request.headers.has(HEADER) && !request.headers.has(BAGGAGE)) return request;
  const headers = new Headers(request.headers);
  const left = withoutOurs(headers.get(BAGGAGE) ?? "");
  headers.delete(HEADER);
  headers.delete(BAGGAGE);
  if (left) headers.set(BAGGAGE, left);
  return new Request(request, { headers });
}
