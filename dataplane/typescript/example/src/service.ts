/** A help desk: retrieval in process, an OpenAI-compatible model behind it, chats of several turns, streams. */

import { DataPlane, rollcast, SignedPins, type ServingRelease } from "@rollcast/dataplane";
import express from "express";
import { deniedOf, isThere, modelOf, nearest, promptOf } from "./instances.js";

const LLM = process.env["LLM"] ?? "http://127.0.0.1:9100";
const LIVE = process.env["LIVE"] ?? ".rollcast/live";
const plane = new DataPlane("support-express", {
  ...(process.env["RELAYS"] ? { relays: process.env["RELAYS"].split(",") } : { definition: `${LIVE}/flags.json` }),
  state: `${LIVE}/state`,
  telemetry: `${LIVE}/telemetry`,
  warm: isThere,
  ...(process.env["ROLLCAST_PIN_SECRET"] ? { pins: new SignedPins() } : {}),
});

interface Chat {
  user?: string;
  session?: string;
  tenant?: string;
  message: string;
  history?: { role: string; content: string }[];
  stream?: boolean;
  slow_s?: number;
}

/** What the model is given: everything in it is the release's. */
function completion(release: ServingRelease, body: Chat): { body: string; method: string; headers: Record<string, string> } {
  const passages = nearest(release.component("index"), body.message).map(({ text }) => text);
  const prompt = promptOf(release.component("generator.prompt"))
    .replace("{passages}", () => passages.join("\n"))
    .replace("{question}", () => body.message);
  const messages = [...(body.history ?? []), { role: "user", content: prompt }];
  const model = modelOf(release.component("generator"));
  const sent = { model, messages, stream: body.stream ?? false, metadata: { slow_s: body.slow_s ?? 0 } };
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(sent) };
}

const app = express();
app.use(rollcast(plane));
app.use(express.json());

app.post("/chat", async (request, response) => {
  const body: Chat = request.body;
  const release = await plane.resolve({ user: body.user, session: body.session, attributes: { tenant: body.tenant ?? "" } });
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const reply = await fetch(`${LLM}/v1/chat/completions`, { ...completion(release, body), signal: gone.signal });
  if (!reply.ok || !reply.body) {
    response.status(502).json({ error: "upstream" });
    return;
  }
  const denied = deniedOf(release.component("moderation"));
  const judged = (said: string, usage: Record<string, number> = {}): boolean => {
    const violation = denied.some((words) => said.includes(words));
    plane.outcome({ violation, input_tokens: usage["prompt_tokens"] ?? 0, output_tokens: usage["completion_tokens"] ?? 0 });
    return violation;
  };
  if (!body.stream) {
    const answer = (await reply.json()) as any;
    const said: string = answer.choices[0].message.content;
    const shown = judged(said, answer.usage) ? "I can't share that." : said;
    response.json({ request_id: plane.current().id, answer: shown, prompt: release.artifacts["generator.prompt"] });
    return;
  }
  response.type("text/event-stream");
  let [said, usage] = ["", {}];
  for await (const line of linesOf(reply.body)) {
    if (!line.startsWith("data: {")) continue;
    const part = JSON.parse(line.slice(6));
    usage = part.usage ?? usage;
    said += part.choices[0]?.delta.content ?? "";
    if (part.choices.length) response.write(`${line}\n\n`);
  }
  judged(said, usage);
  response.end();
});

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const part of body.pipeThrough(new TextDecoderStream()) as unknown as AsyncIterable<string>) {
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

app.get("/healthz", (_, response) => void response.json({ ok: true }));

void plane.start();
const server = app.listen(Number(process.env["PORT"] ?? 9001), "127.0.0.1");
process.once("SIGTERM", () => server.close(() => void plane.stop()));
