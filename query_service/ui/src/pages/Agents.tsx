/** All agents, and one of them: its versions side by side, its figures over time, and its steps and tools. */
import { address } from "../api/client";
import type { Agents, SeriesAnswer, Version } from "../api/types";
import { useAnswer } from "../api/use";
import { Card, Empty, Name, PageHead, Shown, Table } from "../parts/parts";
import { Range, WindowWords } from "../parts/range";
import { useNow } from "../state/now";
import { hereHref, pageHref, param } from "../state/url";
import { trendBucket, windowOf, zoneName } from "../state/window";
import { Charts } from "./agent_charts";
import { AgentTable, FigureCells, FigureHeads } from "./agent_table";
import { TopFailures } from "./failure_groups";
import { compareHref } from "./hrefs";
import { StepsCard } from "./steps_card";
import { UsageCard } from "./usage_card";

export function AgentsPage() {
  const window = windowOf("7d", useNow());
  const bounds = { since: window.since, until: window.until };
  const where = address("/v1/agents", bounds);
  const answer = useAnswer<Agents>(where);
  return (
    <>
      <PageHead title="Agents" note={<WindowWords window={window} />} json={where}>
        <Range window={window} />
      </PageHead>
      <Shown answer={answer} rows={10}>
        {(data) => <AgentTable agents={data} />}
      </Shown>
      <StepsCard bounds={bounds} series={{ ...bounds, zone: zoneName.value, bucket: trendBucket(window) }} />
    </>
  );
}

export function AgentPage({ agent }: { agent: string }) {
  const window = windowOf("7d", useNow());
  const version = param("agent_version");
  const bounds = { since: window.since, until: window.until, agent_id: agent };
  const shown = { ...bounds, agent_version: version };
  const series = { ...shown, zone: zoneName.value, bucket: trendBucket(window) };
  const where = address("/v1/agents", bounds);
  const agents = useAnswer<Agents>(where);
  const runs = useAnswer<SeriesAnswer>(address("/v1/series", series));
  const steps = useAnswer<SeriesAnswer>(address("/v1/series", { ...series, of: "steps" }));
  const found = agents.data?.agents.find(({ agent_id }) => agent_id === agent);
  if (agents.data && !found) {
    return (
      <Empty page title="This project has no agent of this name.">
        <a href={pageHref("/agents")}>All agents</a>
      </Empty>
    );
  }
  return (
    <>
      <PageHead
        title={
          <>
            <Name>{agent}</Name> {version !== null && <span class="version">{version}</span>}
          </>
        }
        note={<WindowWords window={window} />}
        json={where}
      >
        {version !== null && (
          <a class="quiet" href={hereHref({ agent_version: null })}>
            all versions
          </a>
        )}
        <a class="quiet" href={pageHref("/runs", { agent_id: agent, agent_version: version })}>
          runs
        </a>
        <Range window={window} />
      </PageHead>
      <Charts runs={runs} steps={steps} agents={found && agents.data} />
      <Shown answer={agents}>
        {() => (found ? <Versions agent={agent} versions={found.versions} chosen={version} /> : null)}
      </Shown>
      <StepsCard bounds={shown} series={series} oneAgent />
      <UsageCard bounds={shown} />
      <Card title="Failures, most frequent first">
        <TopFailures window={window} limit={8} agent={agent} version={version} />
      </Card>
    </>
  );
}

function Versions({
  agent,
  versions,
  chosen,
}: {
  agent: string;
  versions: Version[];
  chosen: string | null;
}) {
  const most = Math.max(...versions.map(({ runs }) => runs), 1);
  return (
    <Card title="Versions" note="the newest first">
      <Table
        caption="Versions of the agent"
        head={
          <>
            <th scope="col">version</th>
            <FigureHeads />
            <th scope="col">beside the one before</th>
          </>
        }
      >
        {versions.map((version, at) => {
          const before = versions[at + 1]?.agent_version;
          return (
            <tr
              key={version.agent_version}
              class={version.agent_version === chosen ? "row-chosen" : undefined}
            >
              <td class="version">
                <Name href={hereHref({ agent_version: version.agent_version })}>{version.agent_version}</Name>
              </td>
              <FigureCells of={version} most={most} />
              <td class="tight">
                {before === undefined ? (
                  "–"
                ) : (
                  <a
                    href={compareHref({ agent, version: before }, { agent, version: version.agent_version })}
                  >
                    compare<span class="visually-hidden"> {version.agent_version} with the one before</span>
                  </a>
                )}
              </td>
            </tr>
          );
        })}
      </Table>
    </Card>
  );
}
