/** Evaluates definitions line by line, for a test that compares the kits: {text, pipeline, key, attributes} -> {release, content}. */

import { createInterface } from "node:readline";
import { Definition } from "../../src/definitions.js";
import { said } from "../../src/errors.js";
import { keyOf } from "../../src/keys.js";

createInterface({ input: process.stdin }).on("line", (line) => {
  const { text, pipeline, key, attributes } = JSON.parse(line);
  let answer: object = {};
  try {
    const definition = new Definition(text, pipeline);
    answer = { content: definition.content };
    answer = { ...answer, key: keyOf(key) };
    const { id, channel } = definition.evaluate(keyOf(key), attributes);
    answer = { ...answer, release: id, channel };
  } catch (error) {
    answer = { ...answer, error: said(error), kind: (error as Error).constructor.name };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
