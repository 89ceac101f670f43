/** The first minute of an empty project: the lines to copy, and a wait that ends by itself when the run arrives. */
import type { Session } from "../api/types";
import { Card, Code, PageHead } from "../parts/parts";
import { pageHref } from "../state/url";

const USUAL = "http://127.0.0.1:8000";

export function FirstRun({ session: { guide, project } }: { session: Session }) {
  const gateway = guide.gateway_url ?? "http://GATEWAY:8000";
  const key = guide.ingest_key_file === null ? "YOUR_INGEST_KEY" : `$(cat ${guide.ingest_key_file})`;
  const needed = gateway === USUAL ? "" : `export AGENTTRACER_API_URL=${gateway}\n`;
  return (
    <>
      <PageHead title="Send the first run" note={<>Nothing has arrived in the project {project} yet.</>} />
      <p class="banner" role="status">
        <span class="live">waiting</span> This page turns into the run as soon as one arrives.
      </p>
      <div class="two">
        <Card title="With the SDK">
          <Code
            label="Lines for the SDK"
            text={`${needed}pip install agenttracer-sdk   # or: pip install ./sdk`}
          />
          <Code
            label="A first run with the SDK"
            text={`from agenttracer import AgentTracer

tracer = AgentTracer(agent_id="my-agent", agent_version="1.0")
with tracer.start_run() as run, run.step("tool", "first_step"):
    pass
tracer.flush()`}
          />
        </Card>
        <Card title="With OpenTelemetry">
          <Code
            label="Lines for OpenTelemetry"
            text={`export OTEL_EXPORTER_OTLP_ENDPOINT=${gateway}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=${key}"
export OTEL_SERVICE_NAME=my-agent
export OTEL_RESOURCE_ATTRIBUTES=service.version=1.0`}
          />
          <p class="note">
            Then start an agent that is instrumented already. What it read or wrote is not kept.
          </p>
        </Card>
        <Card title="Or look at examples first">
          <Code label="The demo" text="agenttracer demo" />
          <p class="note">
            It sends example runs of two agents. Programs read the same data:{" "}
            <a href={pageHref("/docs")}>API</a>.
          </p>
        </Card>
      </div>
    </>
  );
}
