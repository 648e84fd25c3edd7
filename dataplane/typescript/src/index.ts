/**
 * @rollcast/dataplane: each request of an LLM service is served by exactly one release, from its entry to its last byte.
 *
 * The TypeScript kit of rollcast's data-plane protocol (`spec/`). Read `plane`, then `requests`; `express` and `fetch` put
 * them into a service, `clients` carry the release on.
 */

export { ReleaseCache } from "./caching.js";
export { carriedHeaders, carryingFetch } from "./clients.js";
export { call, Late, prefetch, type Work } from "./course.js";
export { NoRelease, Refused, RefusedKey, UnknownRelease } from "./errors.js";
export { FilePins, MemoryPins, type Pin, type Pins, SignedPins } from "./pins.js";
export { DataPlane, type Evaluated, KIT, type Settings } from "./plane.js";
export { type Component, ServingRelease } from "./releases.js";
export { type ResolveOptions, current, ServedRequest } from "./requests.js";
export { rollcast } from "./express.js";
export { rollcastFetch } from "./fetch.js";
