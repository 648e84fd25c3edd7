/** Semantic versions as flagd's `sem_ver` compares them (https://semver.org, 11). */

interface Version {
  numbers: [bigint, bigint, bigint];
  before: string[];
}

const FORM = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?$/;

/** A version of a text such as `1.2.3-rc.1`, `v1.2` or `1`; null where it is none. */
export function versionOf(value: unknown): Version | null {
  if (typeof value !== "string" && typeof value !== "number") return null;
  const text = String(value).replace(/^[vV]/, "");
  const plain = text.split(/[-+]/, 1)[0]!;
  const missing = Math.max(0, 2 - (plain.split(".").length - 1));
  const found = FORM.exec(plain + ".0".repeat(missing) + text.slice(plain.length));
  if (!found) return null;
  const before = found[4]?.split(".") ?? [];
  if (before.some((part) => /^0\d+$/.test(part))) return null;
  return { numbers: [BigInt(found[1]!), BigInt(found[2]!), BigInt(found[3]!)], before };
}

function order(a: Version, b: Version): number {
  for (const at of [0, 1, 2] as const) {
    if (a.numbers[at] !== b.numbers[at]) return a.numbers[at] < b.numbers[at] ? -1 : 1;
  }
  if (!a.before.length || !b.before.length) return Number(!a.before.length) - Number(!b.before.length);
  for (let at = 0; at < Math.max(a.before.length, b.before.length); at++) {
    const [left, right] = [a.before[at], b.before[at]];
    if (left === undefined || right === undefined) return left === undefined ? -1 : 1;
    if (left === right) continue;
    const numeric = [/^\d+$/.test(left), /^\d+$/.test(right)];
    if (numeric[0] && numeric[1]) return BigInt(left) < BigInt(right) ? -1 : 1;
    if (numeric[0] !== numeric[1]) return numeric[0] ? -1 : 1;
    return left < right ? -1 : 1;
  }
  return 0;
}

/** What flagd's operator says of two versions; null where it has no such operator. */
export function compareVersions(a: Version, operator: unknown, b: Version): boolean | null {
  const found = order(a, b);
  switch (operator) {
    case "=":
      return found === 0;
    case "!=":
      return found !== 0;
    case "<":
      return found < 0;
    case "<=":
      return found <= 0;
    case ">":
      return found > 0;
    case ">=":
      return found >= 0;
    case "^":
      return a.numbers[0] === b.numbers[0];
    case "~":
      return a.numbers[0] === b.numbers[0] && a.numbers[1] === b.numbers[1];
    default:
      return null;
  }
}
