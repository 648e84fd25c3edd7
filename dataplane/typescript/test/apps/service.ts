/** An Express service on the kit for live tests: chats, streams, calls to others, and mistakes of its own. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import express from "express";
import { carryingFetch, DataPlane, FilePins, MemoryPins, type Pins, SignedPins } from "../../src/index.js";
import { rollcast } from "../../src/express.js";

const settings = JSON.parse(process.env["DATAPLANE"]!);
const PINS: Record<string, () => Pins | null> = {
  file: () => new FilePins(settings.pins_at),
  signed: () => new SignedPins(),
  memory: () => new MemoryPins(),
  null: () => null,
};

const plane = new DataPlane("help-desk", {
  ...(settings.relays ? { relays: settings.relays } : { definition: settings.definition }),
  state: settings.state,
  telemetry: settings.telemetry,
  trust: settings.trust ?? false,
  pins: PINS[String(settings.pins ?? "file")]!(),
  sessionS: settings.session_s ?? 3600,
  warm: (instance) => existsSync(join(settings.folder, "ready")) || instance.includes("ready"),
  evaluate: (release, suite) => {
    if (suite === "broken") throw new Error("there are no cases");
    return { cases: 2, metrics: { of_new: Number(release.artifacts["prompt"]?.endsWith("2") ?? false) } };
  },
});

const sleep = (s: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, s * 1000));
const carrying = carryingFetch();
const app = express();
app.use(rollcast(plane));
app.use(express.json());

app.post("/chat", async (request, response) => {
  const body = request.body;
  const first = await plane.resolve(body);
  await sleep(body.takes_s ?? 0);
  const again = await plane.resolve({ user: "somebody else" });
  plane.outcome({ input_tokens: 3, output_tokens: 5, violation: false });
  if (again !== first) throw new Error("one request was served by two releases");
  response.json({ release: again.id, components: first.artifacts, saw: request.headers, raw: request.rawHeaders, process: process.pid });
});

app.post("/stream", async (request, response) => {
  const release = await plane.resolve(request.body);
  response.type("text/plain");
  for (let left = request.body.takes_s / 0.05; left > 0 && !response.destroyed; left--) {
    response.write((await plane.resolve()).id + "\n");
    await sleep(0.05);
  }
  if (request.body.breaks) throw new Error("broken off in the middle");
  response.end(release.id + "\n");
});

app.post("/call", async (request, response) => {
  await plane.resolve(request.body);
  const body = JSON.stringify(request.body.json ?? {});
  const reply = await carrying(request.body.url, { method: "POST", headers: { "content-type": "application/json" }, body });
  response.json({ status: reply.status, said: await reply.json(), saw: request.headers });
});

app.post("/boom", async (request) => {
  await plane.resolve(request.body);
  throw new Error("the service's own mistake");
});

app.get("/healthz", (_, response) => void response.json({ ok: true }));

void plane.start();
const server = app.listen(Number(process.env["PORT"]), "127.0.0.1");
process.once("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
  void plane.stop().then(() => process.exit(0));
});
