/**
 * Buckets of `flagd-murmur3-32/1`: murmur3-32 of the UTF-8 of the text, unsigned, scaled `(hash * total) >> 32` (spec R2).
 *
 * npm's `@openfeature/flagd-core` (4.0) hashes the UTF-16 units of a text instead, so it puts a key elsewhere as soon as
 * the key or the salt is not plain ASCII. That is why this kit evaluates the flag itself; the golden vectors hold it.
 */

export const BUCKETING = "flagd-murmur3-32/1";

const rotated = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
const mixed = (k: number): number => Math.imul(rotated(Math.imul(k, 0xcc9e2d51), 15), 0x1b873593);

/** The unsigned 32-bit hash of a text (Austin Appleby's MurmurHash3_x86_32, seed 0). */
export function murmur3(text: string): number {
  const bytes = Buffer.from(text, "utf8");
  const whole = bytes.length & ~3;
  let hash = 0;
  for (let at = 0; at < whole; at += 4) {
    hash = (Math.imul(rotated(hash ^ mixed(bytes.readInt32LE(at)), 13), 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let at = bytes.length - 1; at >= whole; at--) rest = (rest << 8) | bytes[at]!;
  if (whole < bytes.length) hash ^= mixed(rest);
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Where a text stands on a scale of `total`, at most 2^31 - 1. */
export function bucketOf(text: string, total: number): number {
  return Number((BigInt(murmur3(text)) * BigInt(total)) >> 32n);
}
