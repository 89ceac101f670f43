/** Steps and tools with their figures and trend: of one agent, or of all. */
import { address } from "../api/client";
import type { SeriesAnswer, Stats, StepStats } from "../api/types";
import { useAnswer } from "../api/use";
import { count, duration, percent } from "../format";
import { Card, Empty, Kind, Meter, Name, Shown, Table } from "../parts/parts";
import { SparkLine } from "../parts/spark_line";
import { hereHref, pageHref, param } from "../state/url";
import { agentHref } from "./hrefs";
import { stepRows, type Sort } from "./step_rows";

const SHOWN_MOST = { one: 200, all: 25 };
const SORTS: readonly (readonly [Sort, string])[] = [
  ["p95", "slowest at p95"],
  ["errors", "most errors"],
  ["steps", "most calls"],
];

type Asked = Record<string, string | null>;

interface StepsProps {
  bounds: Asked;
  series: Asked;
  oneAgent?: boolean;
}

export function StepsCard({ bounds, series, oneAgent = false }: StepsProps) {
  const tools = param("kind") === "tool";
  const asked = param("steps");
  const most = oneAgent ? SHOWN_MOST.one : SHOWN_MOST.all;
  const sort = SORTS.find(([name]) => name === asked)?.[0] ?? "p95";
  const stats = useAnswer<Stats>(address("/v1/stats", bounds));
  const trends = useAnswer<SeriesAnswer>(
    address("/v1/series", { ...series, of: "steps", by: "step", groups: 50 }),
  );
  const trendOf = new Map(
    trends.data?.series.map(({ key, values }) => [
      `${String(key?.["kind"])} ${String(key?.["name"])}`,
      values["p95_ms"] ?? [],
    ]),
  );
  return (
    <Card
      title="Steps and tools"
      note={
        <span class="choices">
          {SORTS.map(([name, words]) => (
            <a key={name} href={hereHref({ steps: name })} aria-current={name === sort ? "true" : undefined}>
              {words}
            </a>
          ))}
          <a href={hereHref({ kind: tools ? null : "tool" })} aria-current={tools ? "true" : undefined}>
            tools alone
          </a>
        </span>
      }
    >
      <Shown answer={stats}>
        {({ steps: all }) => {
          const steps = tools ? all.filter(({ kind }) => kind === "tool") : all;
          if (!steps.length) return <Empty title="No step in this window." />;
          return (
            <>
              <StepTable rows={stepRows(steps, sort).slice(0, most)} trendOf={trendOf} oneAgent={oneAgent} />
              {steps.length > most && (
                <p class="note">
                  The first {count(most)} of {count(steps.length)}.{" "}
                  {oneAgent ? "Choose a version to see fewer." : "An agent's page has all of its own."}
                </p>
              )}
            </>
          );
        }}
      </Shown>
    </Card>
  );
}

interface TableProps {
  rows: StepStats[];
  trendOf: Map<string, (number | null)[]>;
  oneAgent: boolean;
}

function StepTable({ rows, trendOf, oneAgent }: TableProps) {
  return (
    <Table
      caption="Steps and tools by version"
      head={
        <>
          <th scope="col">step</th>
          {!oneAgent && <th scope="col">agent</th>}
          <th scope="col">version</th>
          <th scope="col" class="num">
            calls
          </th>
          <th scope="col" class="num">
            errors
          </th>
          <th scope="col" class="num">
            error rate
          </th>
          <th scope="col" class="num">
            p50
          </th>
          <th scope="col" class="num">
            p95
          </th>
          <th scope="col">{oneAgent ? "p95, versions together" : "p95, of all with this name"}</th>
        </>
      }
    >
      {rows.map((step) => (
        <tr key={`${step.agent_id} ${step.agent_version} ${step.kind} ${step.name}`}>
          <td>
            <Kind of={step.kind} />{" "}
            <Name
              href={pageHref("/runs", {
                agent_id: step.agent_id,
                agent_version: step.agent_version,
                ...(step.kind === "tool" ? { tool: step.name } : { step_name: step.name }),
              })}
            >
              {step.name}
            </Name>
          </td>
          {!oneAgent && (
            <td>
              <Name href={agentHref(step.agent_id)}>{step.agent_id}</Name>
            </td>
          )}
          <td class="version">
            <bdi>{step.agent_version}</bdi>
          </td>
          <td class="num">{count(step.steps)}</td>
          <td class="num">{count(step.errors)}</td>
          <td class="num">
            <Meter share={step.error_rate} tone="bad" /> <span class="n">{percent(step.error_rate)}</span>
          </td>
          <td class="num">{duration(step.latency_ms?.p50)}</td>
          <td class="num">{duration(step.latency_ms?.p95)}</td>
          <td>
            <SparkLine values={trendOf.get(`${step.kind} ${step.name}`) ?? []} unit={duration} />
          </td>
        </tr>
      ))}
    </Table>
  );
}
