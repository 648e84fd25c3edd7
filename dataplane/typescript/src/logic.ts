/**
 * flagd's JsonLogic, as far as rollcast writes it, compiled once for each definition. An operator that is not here makes
 * the definition unusable: it is never skipped, since that would serve some people by a guess.
 */

import { BadDefinition } from "./errors.js";
import { bucketOf } from "./hashing.js";
import { compareVersions, versionOf } from "./versions.js";

export type Context = Readonly<Record<string, unknown>>;
type Rule = (context: Context) => unknown;
type Operator = (args: Rule[], raw: readonly unknown[]) => Rule;

const DEEPEST = 500;
const MOST_WEIGHT = 2 ** 31 - 1;

const truthy = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : Boolean(value));
const two = (decide: (a: any, b: any) => unknown): Operator => ([a, b]) => (c) => decide(a?.(c) ?? null, b?.(c) ?? null);

/** Equal as JSON values are to rollcast's planner, to which true is 1. */
function same(a: unknown, b: unknown): boolean {
  const plain = (value: unknown): unknown => (typeof value === "boolean" ? Number(value) : value);
  return plain(a) === plain(b);
}

function within(needle: unknown, haystack: unknown): boolean {
  if (Array.isArray(haystack)) return haystack.some((each) => same(each, needle));
  return typeof haystack === "string" && haystack.includes(String(needle));
}

const OPERATORS: Record<string, Operator> = {
  var: (args, raw) => {
    const name = Array.isArray(raw[0]) ? raw[0][0] : raw[0];
    const path = typeof name === "number" ? [String(name)] : typeof name === "string" ? name.split(".") : null;
    if (path === null) throw new BadDefinition("its targeting has a 'var' without a name");
    return (context) => {
      let found: unknown = context;
      for (const part of path) {
        found = found !== null && typeof found === "object" && Object.hasOwn(found, part) ? (found as any)[part] : null;
      }
      return found ?? args[1]?.(context) ?? null;
    };
  },
  if: (args) => (context) => {
    let at = 0;
    for (; at + 1 < args.length; at += 2) if (truthy(args[at]!(context))) return args[at + 1]!(context);
    return args[at]?.(context) ?? null;
  },
  and: (args) => (context) => {
    let last: unknown = null;
    for (const each of args) if (!truthy((last = each(context)))) return last;
    return last;
  },
  or: (args) => (context) => {
    let last: unknown = null;
    for (const each of args) if (truthy((last = each(context)))) return last;
    return last;
  },
  "!": ([a]) => (context) => !truthy(a?.(context)),
  "!!": ([a]) => (context) => truthy(a?.(context)),
  "==": two((a, b) => a == b), // eslint-disable-line eqeqeq -- JsonLogic's own loose equality
  "!=": two((a, b) => a != b), // eslint-disable-line eqeqeq
  "===": two(same),
  "!==": two((a, b) => !same(a, b)),
  "<": two((a, b) => a < b),
  "<=": two((a, b) => a <= b),
  ">": two((a, b) => a > b),
  ">=": two((a, b) => a >= b),
  in: two(within),
  cat: (args) => (context) => args.map((each) => each(context) ?? "").join(""),
  starts_with: two((a, b) => (typeof a === "string" && typeof b === "string" ? a.startsWith(b) : null)),
  ends_with: two((a, b) => (typeof a === "string" && typeof b === "string" ? a.endsWith(b) : null)),
  sem_ver: ([a, operator, b]) => (context) => {
    const [left, right] = [versionOf(a?.(context)), versionOf(b?.(context))];
    return left && right ? compareVersions(left, operator?.(context), right) : null;
  },
  fractional: (args, raw) => {
    const shorthand = Array.isArray(raw[0]); // no text to hash: flag key and targeting key
    const shares = raw.slice(shorthand ? 0 : 1).map(shareOf);
    const total = shares.reduce((sum, share) => sum + share.weight, 0);
    if (total > MOST_WEIGHT) throw new BadDefinition(`its weights add up to more than ${MOST_WEIGHT}`);
    return (context) => {
      const { flagKey } = context["$flagd"] as { flagKey: string };
      const text = shorthand ? flagKey + String(context["targetingKey"] ?? "") : args[0]?.(context);
      if (typeof text !== "string" || !text) return null;
      let left = bucketOf(text, total);
      for (const share of shares) if ((left -= share.weight) < 0) return share.variant;
      return null;
    };
  },
};

function shareOf(share: unknown): { variant: unknown; weight: number } {
  const [variant, weight = 1] = Array.isArray(share) && share.length < 3 ? share : [];
  if (typeof variant !== "string" || !Number.isInteger(weight)) {
    throw new BadDefinition("its targeting has a share that is not [variant, whole number]");
  }
  return { variant, weight: Math.max(0, weight as number) };
}

/** A rule as a function of the context. Throws BadDefinition. */
export function compiled(rule: unknown, depth = 0): Rule {
  if (depth > DEEPEST) throw new BadDefinition("its targeting is nested too deeply");
  if (Array.isArray(rule)) {
    const items = rule.map((each) => compiled(each, depth + 1));
    return (context) => items.map((each) => each(context));
  }
  if (rule === null || typeof rule !== "object") return () => rule;
  const [[name, given] = ["", null], ...more] = Object.entries(rule);
  const operator = more.length === 0 && Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined;
  if (!operator) throw new BadDefinition(`its targeting has the operator '${name}', which this kit does not know`);
  const raw = Array.isArray(given) ? given : [given];
  return operator(raw.map((each) => compiled(each, depth + 1)), raw);
}
