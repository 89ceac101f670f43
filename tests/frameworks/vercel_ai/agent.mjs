// A loop of Vercel's AI SDK 5 with its own telemetry. What the scenario's tools do stands in child/scenario.py.
import { createOpenAI } from "@ai-sdk/openai";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { envDetector, detectResources } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { generateText, stepCountIs, tool } from "ai";
import { z } from "zod";

const MODEL = "gpt-4o-mini";
let fetched = 0;
const meeting = () => new Promise((resolve) => setTimeout(resolve, 50));

const tools = {
  search_policies: tool({
    description: "Search the policies.",
    inputSchema: z.object({ query: z.string() }),
    execute: async () => "A canary of a document.",
  }),
  fetch_order: tool({
    description: "Fetch an order.",
    inputSchema: z.object({ order_id: z.string() }),
    execute: async () => {
      fetched += 1;
      if (fetched > 2) return "Canary: the order was sent.";
      const error = new Error("the order service timed out");
      error.name = "TimeoutError";
      throw error;
    },
  }),
  check_stock: tool({
    description: "Check the stock of an item.",
    inputSchema: z.object({ item: z.string() }),
    execute: async () => {
      await meeting();
      return "Canary: there are some.";
    },
  }),
  check_price: tool({
    description: "Check the price of an item.",
    inputSchema: z.object({ item: z.string() }),
    execute: async () => {
      await meeting();
      return "Canary: it is cheap.";
    },
  }),
};

const provider = new NodeTracerProvider({
  resource: detectResources({ detectors: [envDetector] }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });

const run = async (prompt) => {
  fetched = 0;
  await generateText({
    model: openai.chat(MODEL),
    system: "You are a canary of a support agent.",
    prompt,
    tools,
    stopWhen: stepCountIs(10),
    experimental_telemetry: { isEnabled: true, functionId: "support_agent" },
  });
};

await run("Canary: where is my order?");
try {
  await run("Canary: refund the refused order.");
} catch (error) {
  console.log(`failed as it should: ${error.name}`);
}
await provider.shutdown();
