/** Components from the folders that a release names, each read once. A folder is whole once its manifest, written last, is there. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = process.env["INSTANCES"] ?? ".rollcast/live/instances";
const loaded = new Map<string, unknown>();

function read<T>(instance: string, digest: string, file: string, make: (text: string) => T): T {
  const name = `${instance} ${digest}`;
  if (!loaded.has(name)) loaded.set(name, make(readFileSync(join(ROOT, instance, file), "utf8")));
  return loaded.get(name) as T;
}

export interface Passage {
  id: string;
  text: string;
  words: Set<string>;
}

const wordsOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/\w+/g) ?? []);

interface Component {
  instance: string;
  digest: string;
}

export const promptOf = ({ instance, digest }: Component): string => read(instance, digest, "prompt.txt", String);
export const modelOf = ({ instance, digest }: Component): string =>
  read(instance, digest, "model.json", (text) => JSON.parse(text).model as string);
export const deniedOf = ({ instance, digest }: Component): string[] =>
  read(instance, digest, "moderation.json", (text) => JSON.parse(text).deny as string[]);

/** The three passages that share most words with a question. */
export function nearest({ instance, digest }: Component, question: string): Passage[] {
  const passages = read(instance, digest, "index.json", (text) =>
    (JSON.parse(text) as Passage[]).map((each) => ({ ...each, words: wordsOf(each.text) })),
  );
  const terms = [...wordsOf(question)];
  const shared = (passage: Passage): number => terms.filter((word) => passage.words.has(word)).length;
  return [...passages].sort((a, b) => shared(b) - shared(a)).slice(0, 3);
}

export const isThere = (instance: string): boolean => existsSync(join(ROOT, instance, "manifest.json"));
