/** Runs, failure rate, latency, and tokens or steps over time: of the whole project, or of one agent. */
import type { Agents, SeriesAnswer } from "../api/types";
import type { Answer } from "../api/use";
import { count, duration, percent, short } from "../format";
import { bucketMs, sum } from "../parts/buckets";
import { Chart } from "../parts/chart";
import type { Series } from "../parts/chart_layout";
import { Loading, Refused } from "../parts/parts";
import { setParams } from "../state/url";
import { iso } from "../state/window";

const zoomTo = (since: number, until: number): void =>
  setParams({ since: iso(since), until: iso(until), range: null });

/** A version is marked where it was first seen: that is what a deploy looks like from here. */
const deploys = (agents: Agents | undefined) =>
  (agents?.agents ?? []).flatMap(({ agent_id, versions }) =>
    versions.map(({ agent_version, first_seen }) => ({
      at: Date.parse(first_seen),
      label: `${agent_id} ${agent_version} first seen`,
    })),
  );

export function Charts({
  runs,
  steps,
  agents,
}: {
  runs: Answer<SeriesAnswer>;
  steps?: Answer<SeriesAnswer>;
  agents?: Agents | undefined;
}) {
  if (runs.error && !runs.data) return <Refused error={runs.error} retry={runs.reload} />;
  if (!runs.data) return <Loading rows={5} />;
  const { times: texts, bucket, series } = runs.data;
  const times = texts.map((text) => Date.parse(text));
  const values = series[0]?.values ?? {};
  const shared = { times, bucketMs: bucketMs(bucket), markers: deploys(agents), onZoom: zoomTo };
  const over =
    sum(values["success"]) + sum(values["partial"]) + sum(values["failure"]) + sum(values["abandoned"]);
  const bad = sum(values["failure"]) + sum(values["abandoned"]);
  const of = (name: string) => values[name] ?? [];
  return (
    <div class={`charts${runs.loading ? " stale" : ""}`}>
      <Chart
        {...shared}
        title="Runs"
        total={count(sum(values["runs"]))}
        kind="bars"
        unit={short}
        series={(
          [
            { name: "success", tone: "ok", values: of("success") },
            { name: "partial", tone: "warn", values: of("partial") },
            { name: "failure", tone: "bad", values: of("failure") },
            { name: "abandoned", tone: "gone", values: of("abandoned") },
            { name: "running", tone: "run", values: of("running") },
          ] as Series[]
        ).filter(({ values: all }) => sum(all) > 0)}
      />
      <Chart
        {...shared}
        title="Failure rate"
        total={percent(over ? bad / over : null)}
        kind="lines"
        unit={percent}
        series={[{ name: "failure rate", tone: "bad", values: of("failure_rate") }]}
      />
      <Chart
        {...shared}
        title="Latency of runs"
        total={`p95 up to ${duration(Math.max(...of("p95_ms").map((value) => value ?? 0)))}`}
        kind="lines"
        unit={duration}
        series={[
          { name: "p95", tone: "accent", values: of("p95_ms") },
          { name: "p50", tone: "muted", values: of("p50_ms") },
        ]}
      />
      {steps?.data && <StepsChart answer={steps.data} onZoom={zoomTo} markers={shared.markers} />}
    </div>
  );
}

/** Tokens where somebody counted them, else steps. */
function StepsChart(chart: {
  answer: SeriesAnswer;
  onZoom: typeof zoomTo;
  markers: ReturnType<typeof deploys>;
}) {
  const { times, bucket, series } = chart.answer;
  const values = series[0]?.values ?? {};
  const of = (name: string) => values[name] ?? [];
  const shared = {
    times: times.map((text) => Date.parse(text)),
    bucketMs: bucketMs(bucket),
    markers: chart.markers,
    onZoom: chart.onZoom,
    kind: "bars" as const,
    unit: short,
  };
  const tokens = sum(of("input_tokens")) + sum(of("output_tokens"));
  if (tokens > 0) {
    return (
      <Chart
        {...shared}
        title="Tokens"
        total={short(tokens)}
        series={[
          { name: "in", tone: "accent", values: of("input_tokens") },
          { name: "out", tone: "run", values: of("output_tokens") },
        ]}
      />
    );
  }
  const whole = of("steps").map((steps, at) => (steps ?? 0) - (of("errors")[at] ?? 0));
  return (
    <Chart
      {...shared}
      title="Steps"
      total={count(sum(of("steps")))}
      series={[
        { name: "fine", tone: "accent", values: whole },
        { name: "failed", tone: "bad", values: of("errors") },
      ]}
    />
  );
}
