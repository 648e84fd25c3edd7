/**
 * Carrying a release from hop to hop: W3C Baggage and `x-rollcast-release` (spec C1 to C6).
 *
 * Pure text in, text out: adapters of frameworks and clients call it, and the golden vectors hold it.
 */

import { UnknownRelease } from "./errors.js";

export const BAGGAGE = "baggage";
export const HEADER = "x-rollcast-release";
const MEMBER = "rollcast.release";
const LONGEST_BAGGAGE = 8192;

export type Carried = { baggage: string; "x-rollcast-release": string };

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The releases that a baggage header names, and its other members as they stand. What is no member is left out. */
export function membersOf(baggage: string): { releases: string[]; others: string[] } {
  const releases: string[] = [];
  const others: string[] = [];
  for (const part of baggage.split(",")) {
    const equals = part.indexOf("=");
    const name = part.slice(0, Math.max(equals, 0)).trim();
    if (!name || /[;\s"\\]/.test(name)) continue;
    const rest = part.slice(equals + 1);
    const semicolon = rest.indexOf(";");
    const value = (semicolon < 0 ? rest : rest.slice(0, semicolon)).trim();
    if (name === MEMBER) releases.push(decoded(value));
    else others.push(`${name}=${value}` + (semicolon < 0 ? "" : `;${rest.slice(semicolon + 1).trim()}`));
  }
  return { releases, others };
}

/** The release that a trusted caller gives, and the other members of its baggage. Throws UnknownRelease (C5). */
export function incoming(header: string, baggage: string, trusted: boolean): { release: string | null; others: string[] } {
  const { releases, others } = membersOf(baggage);
  if (!trusted) return { release: null, others };
  if (header.trim()) releases.push(header.trim());
  if (new Set(releases).size > 1) {
    throw new UnknownRelease(
      "The caller's headers name different releases, so nobody knows which one this request began with. " +
        "See what changes them on the way.",
      releases[0]!.slice(0, 256),
    );
  }
  return { release: releases[0] ?? null, others };
}

/** The two headers of a call, ours first; other members are dropped, the last first, where they don't fit (C6). */
export function outgoing(release: string, others: Iterable<string> = []): Carried {
  let text = `${MEMBER}=${encodeURI(release).replaceAll("%5B", "[").replaceAll("%5D", "]")}`;
  let size = text.length;
  for (const member of others) {
    size += 1 + Buffer.byteLength(member);
    if (size > LONGEST_BAGGAGE) break;
    text += `,${member}`;
  }
  return { [BAGGAGE]: text, [HEADER]: release };
}

/** The headers of a call that has baggage of its own already: its members stay, before those of the caller. */
export function added(release: string, others: readonly string[], existing: string): Carried {
  const own = membersOf(existing).others;
  const nameOf = (member: string): string => member.slice(0, member.indexOf("="));
  const names = new Set(own.map(nameOf));
  return outgoing(release, [...own, ...others.filter((each) => !names.has(nameOf(each)))]);
}

/** A baggage header as an entry passes it on to the service: without a release that an outsider set. */
export function withoutOurs(baggage: string): string {
  return membersOf(baggage).others.join(",");
}
