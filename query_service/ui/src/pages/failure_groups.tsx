/** Groups of failures by fingerprint, as a table. */
import { address } from "../api/client";
import type { FailureGroups, GroupOfFailures } from "../api/types";
import { useAnswer } from "../api/use";
import { ago, count } from "../format";
import { Empty, Kind, Name, Shown, Table } from "../parts/parts";
import { pageHref } from "../state/url";
import { agentHref } from "./hrefs";
import type { TimeWindow } from "../state/window";

interface TopProps {
  window: TimeWindow;
  limit: number;
  agent?: string;
  version?: string | null;
}

export function TopFailures({ window, limit, agent, version }: TopProps) {
  const answer = useAnswer<FailureGroups>(
    address("/v1/failures", {
      since: window.since,
      until: window.until,
      limit,
      agent_id: agent,
      agent_version: version,
    }),
  );
  return <Shown answer={answer}>{(data) => <GroupTable data={data} oneAgent={agent !== undefined} />}</Shown>;
}

/** With `oneAgent` all are of the agent that the page is about. */
export function GroupTable({ data, oneAgent = false }: { data: FailureGroups; oneAgent?: boolean }) {
  if (!data.groups.length) return <Empty title="Nothing failed in this window." />;
  return (
    <Table
      caption="Failures by kind"
      head={
        <>
          <th scope="col">failure</th>
          <th scope="col">where</th>
          {!oneAgent && <th scope="col">agent</th>}
          <th scope="col">trend</th>
          <th scope="col" class="num">
            failures
          </th>
          <th scope="col" class="num">
            fatal
          </th>
          <th scope="col" class="num">
            recovered
          </th>
          <th scope="col" class="num">
            runs
          </th>
          <th scope="col">versions</th>
          <th scope="col">last</th>
        </>
      }
    >
      {data.groups.map((group) => (
        <GroupRow
          key={group.fingerprint}
          group={group}
          oneAgent={oneAgent}
          isNew={isNew(group, data.window)}
          until={data.window.until}
        />
      ))}
    </Table>
  );
}

const DAY_MS = 86_400_000;

/** First seen in this window, and within a day of its end: in a long window almost everything begins somewhere. */
const isNew = ({ first_seen }: GroupOfFailures, { since, until }: FailureGroups["window"]): boolean =>
  Date.parse(first_seen) >= Math.max(Date.parse(since), Date.parse(until) - DAY_MS);

interface RowProps {
  group: GroupOfFailures;
  oneAgent: boolean;
  isNew: boolean;
  until: string;
}

function GroupRow({ group, oneAgent, isNew, until }: RowProps) {
  return (
    <tr>
      <td>
        <a href={pageHref(`/failures/${group.fingerprint}`)}>
          {group.failure_type} · {group.failure_code}
        </a>{" "}
        {isNew && <span class="chip chip-new">new</span>}
        {group.error_class && (
          <span class="sub">
            <bdi>{group.error_class}</bdi>
          </span>
        )}
      </td>
      <td>
        {group.step ? (
          <>
            <Kind of={group.step.kind} /> <Name>{group.step.name}</Name>
          </>
        ) : (
          "the run"
        )}
      </td>
      {!oneAgent && (
        <td>
          <Name href={agentHref(group.agent_id)}>{group.agent_id}</Name>
        </td>
      )}
      <td>
        <Spark values={group.trend} />
      </td>
      <td class="num">{count(group.failures)}</td>
      <td class="num">{count(group.fatal)}</td>
      <td class="num">{count(group.recovered)}</td>
      <td class="num">{count(group.runs)}</td>
      <td class="version">
        <bdi>{group.versions.slice(0, 3).join(", ")}</bdi>
        {group.versions.length > 3 && ` +${group.versions.length - 3}`}
      </td>
      <td class="tight">{ago(group.last_seen, Math.max(Date.now(), Date.parse(until)))}</td>
    </tr>
  );
}

export function Spark({ values }: { values: number[] }) {
  const highest = Math.max(...values, 1);
  const wide = 96 / Math.max(values.length, 1);
  return (
    <svg
      class="spark"
      width="96"
      height="20"
      role="img"
      aria-label={`Most in one stretch: ${count(highest)}`}
    >
      {values.map((value, at) =>
        value ? (
          <rect
            key={at}
            class="fill-bad"
            x={at * wide}
            width={Math.max(wide - 0.5, 0.8)}
            y={20 - (value / highest) * 19}
            height={(value / highest) * 19}
          />
        ) : null,
      )}
      <line class="grid" x1="0" x2="96" y1="19.5" y2="19.5" />
    </svg>
  );
}
