/** One kind of failure: since when, in which versions, where in the agent, on what evidence, and runs to look at. */
import { address } from "../api/client";
import type { FailureDetail } from "../api/types";
import { useAnswer } from "../api/use";
import { count, duration, percent, shortId } from "../format";
import { bucketMs } from "../parts/buckets";
import { Chart } from "../parts/chart";
import {
  Card,
  Empty,
  Fact,
  Facts,
  Kind,
  Meter,
  Name,
  PageHead,
  Shown,
  Status,
  Table,
  When,
} from "../parts/parts";
import { Range, WindowWords } from "../parts/range";
import { agentHref, runsCompareHref } from "./hrefs";
import { useNow } from "../state/now";
import { pageHref, setParams } from "../state/url";
import { iso, windowOf, zoneName } from "../state/window";

export function FailurePage({ fingerprint }: { fingerprint: string }) {
  const window = windowOf("7d", useNow());
  const where = address(`/v1/failures/${fingerprint}`, {
    since: window.since,
    until: window.until,
    zone: zoneName.value,
  });
  const answer = useAnswer<FailureDetail>(where);
  if (answer.error?.status === 404) return <Empty page title="This project has no failure of this kind." />;
  return (
    <Shown answer={answer} rows={12}>
      {(found) => (
        <>
          <PageHead
            title={`${found.failure_type} · ${found.failure_code}`}
            note={<WindowWords window={window} />}
            json={where}
          >
            <Range window={window} />
          </PageHead>
          <Facts>
            <Fact name="agent">
              <Name href={agentHref(found.agent_id)}>{found.agent_id}</Name>
            </Fact>
            <Fact name="error class">{found.error_class ?? "–"}</Fact>
            <Fact name="failures">{count(found.failures)}</Fact>
            <Fact name="fatal">{count(found.fatal)}</Fact>
            <Fact name="recovered">{count(found.recovered)}</Fact>
            <Fact name="runs">
              <a href={pageHref("/runs", { failure_fingerprint: fingerprint })}>{count(found.runs)}</a>
            </Fact>
            <Fact name="first seen">
              <When at={found.first_seen} />
            </Fact>
            <Fact name="last seen">
              <When at={found.last_seen} />
            </Fact>
            <Fact name="rule">
              <code>{found.rule_id}</code>
              <span class="note"> of taxonomy {found.taxonomy_version}</span>
            </Fact>
          </Facts>
          {found.path.length > 0 && (
            <p class="path">
              <span class="note">path to it</span>{" "}
              {found.path.map((step, at) => (
                <span key={at} class="path-step">
                  <Kind of={step.kind} /> <Name>{step.name}</Name>
                </span>
              ))}
            </p>
          )}
          <Chart
            title="Failures"
            total={count(found.failures)}
            times={found.times.map((at) => Date.parse(at))}
            bucketMs={bucketMs(found.bucket)}
            kind="bars"
            unit={count}
            series={[{ name: "failures", tone: "bad", values: found.trend }]}
            onZoom={(since, until) => setParams({ since: iso(since), until: iso(until), range: null })}
          />
          <div class="two">
            <ByVersion found={found} />
            <Evidence found={found} />
          </div>
          <Samples found={found} fingerprint={fingerprint} />
        </>
      )}
    </Shown>
  );
}

function ByVersion({ found }: { found: FailureDetail }) {
  return (
    <Card title="By version">
      <Table
        caption="By version"
        head={
          <>
            <th scope="col">version</th>
            <th scope="col" class="num">
              failures
            </th>
            <th scope="col" class="num">
              runs with it
            </th>
            <th scope="col" class="num">
              of all runs
            </th>
          </>
        }
      >
        {found.by_version.map((one) => (
          <tr key={one.agent_version}>
            <td class="version">
              <Name href={pageHref("/runs", { agent_id: found.agent_id, agent_version: one.agent_version })}>
                {one.agent_version}
              </Name>
            </td>
            <td class="num">{count(one.failures)}</td>
            <td class="num">{count(one.runs)}</td>
            <td class="num">
              {one.rate !== null && <Meter share={one.rate} tone="bad" />}{" "}
              <span class="n">{percent(one.rate)}</span>
            </td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

function Evidence({ found }: { found: FailureDetail }) {
  return (
    <Card title="Evidence" note="what the rule read; never a message">
      <Table
        caption="Evidence"
        head={
          <>
            <th scope="col">class</th>
            <th scope="col">code</th>
            <th scope="col">HTTP</th>
            <th scope="col">rule</th>
            <th scope="col" class="num">
              failures
            </th>
          </>
        }
      >
        {found.evidence.map((one, at) => (
          <tr key={at}>
            <td>
              <bdi>{one.error_class ?? "–"}</bdi>
            </td>
            <td>
              <bdi>{one.error_code ?? "–"}</bdi>
            </td>
            <td>{one.http_status ?? "–"}</td>
            <td>
              <code>{one.rule_id}</code>
            </td>
            <td class="num">{count(one.failures)}</td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

function Samples({ found, fingerprint }: { found: FailureDetail; fingerprint: string }) {
  const list = `failure_fingerprint=${fingerprint}`;
  return (
    <Card
      title="Runs with it"
      note={
        found.peer_run_id !== null && (
          <>
            a run of the same shape without it:{" "}
            <a href={pageHref(`/runs/${found.peer_run_id}`)}>{shortId(found.peer_run_id)}</a>
            {found.sample_runs[0] && (
              <>
                {" · "}
                <a href={runsCompareHref(found.peer_run_id, found.sample_runs[0].run_id)}>
                  beside the newest with it
                </a>
              </>
            )}
          </>
        )
      }
    >
      <Table
        caption="Newest runs with this failure"
        head={
          <>
            <th scope="col">started</th>
            <th scope="col">version</th>
            <th scope="col">status</th>
            <th scope="col" class="num">
              took
            </th>
            <th scope="col">root cause</th>
          </>
        }
      >
        {found.sample_runs.map((run) => (
          <tr key={run.run_id}>
            <td class="tight">
              <a href={pageHref(`/runs/${run.run_id}`, { list })}>
                <When at={run.started_at} />
              </a>
            </td>
            <td class="version">
              <bdi>{run.agent_version}</bdi>
            </td>
            <td>
              <Status of={run.status} />
            </td>
            <td class="num">{duration(run.latency_ms)}</td>
            <td>
              {run.root_cause
                ? `${run.root_cause.failure_type} · ${run.root_cause.failure_code}`
                : "recovered"}
            </td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}
