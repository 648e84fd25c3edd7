/** An OpenAI-compatible stub with latency, token usage and streams. It cites where the prompt asks for it: `[cite]`. */

import { createServer } from "node:http";

const LATENCY_S = Number(process.env["LAT"] ?? 0.15);
const sleep = (s: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, s * 1000));

createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  const body = JSON.parse(text || "{}");
  const words = "See settings and contact support within ten days.".split(" ");
  if (text.includes("[cite]")) words.push("(kb-001)");
  const usage = { prompt_tokens: text.length >> 2, completion_tokens: words.length };
  if (!body.stream) {
    await sleep(LATENCY_S);
    const choices = [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: words.join(" ") } }];
    response.setHeader("content-type", "application/json").end(JSON.stringify({ model: body.model, choices, usage }));
    return;
  }
  response.setHeader("content-type", "text/event-stream");
  for (const word of words) {
    if (response.destroyed) return;
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: `${word} ` } }] })}\n\n`);
    await sleep((body.metadata?.slow_s || LATENCY_S) / words.length);
  }
  response.end(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
}).listen(Number(process.env["PORT"] ?? 9100), "127.0.0.1");
