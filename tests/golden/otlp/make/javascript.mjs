// Spans by OpenTelemetry's JavaScript SDK, exported as OTLP in JSON to a sink in this process: node javascript.mjs <file>.
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

import { context, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const bodies = [];
const sink = createServer((request, answer) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    bodies.push(Buffer.concat(chunks));
    answer.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
});
await new Promise((listening) => sink.listen(0, "127.0.0.1", listening));
process.env.OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${sink.address().port}`;

const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({
    "service.name": "support agent",
    "service.version": "1.4.2",
    "telemetry.sdk.language": "nodejs",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": "2.12.1",
  }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
const tracer = provider.getTracer("refund-app", "1.0");

async function span(name, attributes, parent) {
  await setTimeout(2); // the SDK's clock ticks in milliseconds, and spans order by their start
  return tracer.startSpan(name, { attributes }, parent ? trace.setSpan(context.active(), parent) : context.active());
}

const root = await span("invoke_agent Refund agent", {
  "gen_ai.operation.name": "invoke_agent",
  "gen_ai.agent.name": "Refund agent",
  "gen_ai.system_instructions": "secret instructions in words",
});
const chat = await span(
  "chat gpt-4o",
  {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.response.finish_reasons": ["tool_calls"],
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 9,
    "gen_ai.input.messages": JSON.stringify([{ role: "user", content: "a question in words" }]),
  },
  root,
);
chat.addEvent("gen_ai.client.inference.operation.details", { "gen_ai.input.messages": "a question in words" });
chat.end();
const tool = await span(
  "execute_tool refund-api",
  {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "refund-api",
    "gen_ai.tool.type": "function",
    "gen_ai.tool.call.arguments": '{"order":"words"}',
  },
  root,
);
const call = await span(
  "POST",
  {
    "http.request.method": "POST",
    "http.response.status_code": 429,
    "error.type": "429",
    "url.full": "https://example.com/refunds?customer=secret",
  },
  tool,
);
call.setStatus({ code: SpanStatusCode.ERROR });
call.end();
class RateLimitError extends Error {
  name = "RateLimitError";
}
const error = new RateLimitError("a message in words");
error.stack = "RateLimitError: a message in words\n    at refund (app.mjs:1:1)";
for (const failed of [tool, root]) {
  failed.recordException(error);
  failed.setAttribute("error.type", "rate_limit_exceeded");
  failed.setStatus({ code: SpanStatusCode.ERROR, message: "a message in words" });
  failed.end();
}
await provider.shutdown();
sink.close();
if (bodies.length !== 1) throw new Error(`${bodies.length} exports instead of one`);
writeFileSync(process.argv[2], bodies[0]);
