/** Agents with their versions, and the figures of each. */
import type { Agents, Version } from "../api/types";
import { count, duration, percent } from "../format";
import { Card, Empty, Meter, Name, Table, When } from "../parts/parts";
import { pageHref } from "../state/url";
import { agentHref } from "./hrefs";

export function AgentTable({ agents: { agents } }: { agents: Agents }) {
  const most = Math.max(...agents.map(({ runs }) => runs), 1);
  if (!agents.length) return <Empty title="No agent ran in this window." />;
  return (
    <Card title="Agents and versions">
      <Table
        caption="Agents and their versions"
        head={
          <>
            <th scope="col">agent</th>
            <th scope="col">version</th>
            <FigureHeads />
          </>
        }
      >
        {agents.flatMap(({ agent_id, versions }) =>
          versions.map((version, at) => (
            <tr key={`${agent_id} ${version.agent_version}`} class={at === 0 ? "row-first" : undefined}>
              <td>{at === 0 && <Name href={agentHref(agent_id)}>{agent_id}</Name>}</td>
              <td class="version">
                <Name href={pageHref("/runs", { agent_id, agent_version: version.agent_version })}>
                  {version.agent_version}
                </Name>
              </td>
              <FigureCells of={version} most={most} />
            </tr>
          )),
        )}
      </Table>
    </Card>
  );
}

/** The figures of a version: the same columns wherever versions stand in a table. */
export function FigureHeads() {
  return (
    <>
      <th scope="col" class="num">
        runs
      </th>
      <th scope="col" class="num">
        failure rate
      </th>
      <th scope="col" class="num">
        p50
      </th>
      <th scope="col" class="num">
        p95
      </th>
      <th scope="col" class="num">
        p99
      </th>
      <th scope="col">first seen</th>
      <th scope="col">last seen</th>
    </>
  );
}

/** `most` are the runs that a full bar stands for. */
export function FigureCells({ of, most }: { of: Version; most: number }) {
  return (
    <>
      <td class="num">
        <Meter share={of.runs / most} /> <span class="n">{count(of.runs)}</span>
      </td>
      <td class="num">
        {of.failure_rate !== null && <Meter share={of.failure_rate} tone="bad" />}{" "}
        <span class="n">{percent(of.failure_rate)}</span>
      </td>
      <td class="num">{duration(of.latency_ms?.p50)}</td>
      <td class="num">{duration(of.latency_ms?.p95)}</td>
      <td class="num">{duration(of.latency_ms?.p99)}</td>
      <td class="tight">
        <When at={of.first_seen} />
      </td>
      <td class="tight">
        <When at={of.last_seen} />
      </td>
    </>
  );
}
