/** What the agents did lately, and what got worse. On a project without a run: how to send the first one. */
import { address } from "../api/client";
import type { Agents, Runs, SeriesAnswer, Session } from "../api/types";
import { useAnswer } from "../api/use";
import { count, percent } from "../format";
import { Card, Loading, PageHead, Refused, Shown } from "../parts/parts";
import { Range, WindowWords } from "../parts/range";
import { Charts } from "./agent_charts";
import { AgentTable } from "./agent_table";
import { TopFailures } from "./failure_groups";
import { FirstRun } from "./FirstRun";
import { UsageCard } from "./usage_card";
import { compareHref } from "./hrefs";
import { pageHref } from "../state/url";
import { useNow } from "../state/now";
import { trendBucket, windowOf, zoneName } from "../state/window";
import { changesOf, type Change } from "./changes";

export function Overview({ session }: { session: Session }) {
  const now = useNow();
  const any = useAnswer<Runs>("/v1/runs?limit=1", 2_000);
  if (any.error && !any.data) return <Refused error={any.error} retry={any.reload} />;
  if (!any.data) return <Loading rows={10} />;
  if (!any.data.runs.length) return <FirstRun session={session} />;
  return <Known now={now} />;
}

function Known({ now }: { now: number }) {
  const window = windowOf("24h", now);
  const bounds = { since: window.since, until: window.until };
  const agents = useAnswer<Agents>(address("/v1/agents", bounds));
  const series = { ...bounds, zone: zoneName.value, bucket: trendBucket(window) };
  const runs = useAnswer<SeriesAnswer>(address("/v1/series", series));
  const steps = useAnswer<SeriesAnswer>(address("/v1/series", { ...series, of: "steps" }));
  return (
    <>
      <PageHead title="Overview" note={<WindowWords window={window} />} json={address("/v1/agents", bounds)}>
        <Range window={window} />
      </PageHead>
      <Charts runs={runs} steps={steps} agents={agents.data} />
      <Shown answer={agents}>{(data) => <Changes agents={data} />}</Shown>
      <Shown answer={agents}>{(data) => <AgentTable agents={data} />}</Shown>
      <UsageCard bounds={bounds} />
      <Card title="Failures, most frequent first" note={<a href={pageHref("/failures")}>all</a>}>
        <TopFailures window={window} limit={8} />
      </Card>
    </>
  );
}

function Changes({ agents }: { agents: Agents }) {
  const changes = changesOf(agents);
  const worse = changes.filter(({ verdict }) => verdict === "worse");
  return (
    <Card
      title="What got worse"
      note="the newest version of each agent beside the one before it, in this window"
    >
      {worse.length ? (
        <ul class="changes">
          {worse.map((change) => (
            <ChangeLine key={change.agent} change={change} />
          ))}
        </ul>
      ) : (
        <p class="note">
          {changes.length ? (
            <>
              No failure rate rose beyond chance. Latency, steps and tools of the versions:{" "}
              {changes.map((change, at) => (
                <span key={change.agent}>
                  {at > 0 && ", "}
                  <Pair change={change} />
                </span>
              ))}
            </>
          ) : (
            "No agent has two versions with runs in this window. Choose a longer one."
          )}
        </p>
      )}
    </Card>
  );
}

function ChangeLine({ change }: { change: Change }) {
  const { before, after, rate } = change;
  const points = (share: number) => `${share > 0 ? "+" : "−"}${Math.abs(share * 100).toFixed(1)}`;
  return (
    <li>
      <Pair change={change} />: failure rate {percent(before.failure_rate)} →{" "}
      <b class="bad">{percent(after.failure_rate)}</b>{" "}
      <span class="note">
        {points(rate.difference)} points (95 %: {points(rate.low)} to {points(rate.high)};{" "}
        {count(before.runs)} and {count(after.runs)} runs)
      </span>
    </li>
  );
}

/** An agent with its two newest versions, as a link to all that differs between them. */
function Pair({ change: { agent, before, after } }: { change: Change }) {
  return (
    <a href={compareHref({ agent, version: before.agent_version }, { agent, version: after.agent_version })}>
      <bdi>{agent}</bdi>{" "}
      <span class="version">
        <bdi>{before.agent_version}</bdi> → <bdi>{after.agent_version}</bdi>
      </span>
    </a>
  );
}
