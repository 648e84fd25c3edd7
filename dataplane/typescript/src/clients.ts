/**
 * Carrying the release with every call that a request causes (spec C1). Nothing is carried where no request is open.
 *
 *     const carrying = carryingFetch();                       // a fetch that carries
 *     http.request(url, { headers: carriedHeaders() });       // whatever else speaks HTTP
 */

import { added, BAGGAGE, type Carried } from "./propagation.js";
import { current } from "./requests.js";

/** The headers of a call made for the current request. `existing`: baggage that the call has of its own. */
export function carriedHeaders(existing = ""): Carried | Record<string, never> {
  const request = current();
  return request?.release ? added(request.release.id, request.others, existing) : {};
}

/** The same fetch, which carries the release of the request that it is called for. */
export function carryingFetch(send: typeof fetch = globalThis.fetch): typeof fetch {
  return (input, init) => {
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    const carried = carriedHeaders(headers.get(BAGGAGE) ?? "");
    for (const [name, value] of Object.entries(carried)) headers.set(name, value);
    return send(input, { ...init, headers });
  };
}
