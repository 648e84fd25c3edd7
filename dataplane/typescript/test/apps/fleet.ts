/**
 * One Node replica of the fleet that `tests/fleet` runs: it shows what really served each request.
 *
 * A request reads one component at its beginning and the other at its end, from the instances that its release names: two
 * generations of one release would be a broken mix, and an instance that is gone an error.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import express from "express";
import { DataPlane, type ServingRelease, SignedPins } from "../../src/index.js";
import { rollcast } from "../../src/express.js";

const settings = JSON.parse(process.env["REPLICA"]!);
const plane = new DataPlane("fleet", {
  ...(settings.relays ? { relays: settings.relays } : { definition: settings.definition }),
  state: settings.state,
  telemetry: settings.telemetry,
  pins: new SignedPins(),
  warm: (instance) => existsSync(join(settings.instances, instance, "manifest.json")),
});

const sleep = (s: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, s * 1000));

interface Asked {
  user: string;
  session?: string;
  takes_s: number;
}

/** What the instance holds. Throws where it is gone. */
function generation(release: ServingRelease, slot: string): string {
  const folder = join(settings.instances, release.instance(slot));
  const [content] = readdirSync(folder).filter((name) => name !== "manifest.json");
  return readFileSync(join(folder, content!), "utf8").trim();
}

async function served(body: Asked): Promise<Record<string, string>> {
  const release = await plane.resolve({ user: body.user, session: body.session });
  const first = generation(release, "index");
  await sleep(body.takes_s);
  return { release: release.id, index: first, answer: generation(release, "answer"), replica: plane.replica, kit: "node" };
}

const app = express();
app.use(rollcast(plane));
app.use(express.json());
app.post("/ask", async (request, response) => void response.json(await served(request.body)));
app.post("/stream", async (request, response) => {
  const body: Asked = request.body;
  await plane.resolve({ user: body.user, session: body.session });
  response.type("application/json");
  for (let left = Math.trunc(body.takes_s / 0.05); left > 0 && !response.destroyed; left--) {
    await sleep(0.05);
    response.write(" ");
  }
  response.end(JSON.stringify(await served({ ...body, takes_s: 0 })));
});
app.get("/healthz", (_, response) => void response.json({ ok: true }));

void plane.start();
const server = app.listen(Number(process.env["PORT"]), "127.0.0.1");
process.once("SIGTERM", () => server.close(() => void plane.stop()));
