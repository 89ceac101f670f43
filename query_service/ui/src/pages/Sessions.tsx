/** Sessions: runs that belong together by what their senders called a conversation. Only a digest of that name is known. */
import { address } from "../api/client";
import type { Runs, Sessions } from "../api/types";
import { useAnswer } from "../api/use";
import { count, duration, shortId } from "../format";
import { Empty, Fact, Facts, Name, PageHead, Shown, Table, When } from "../parts/parts";
import { Range, WindowWords } from "../parts/range";
import { useNow } from "../state/now";
import { hereHref, pageHref, param } from "../state/url";
import { windowOf } from "../state/window";
import { agentHref, sessionHref } from "./hrefs";
import { RunTable } from "./run_table";

export function SessionsPage() {
  const window = windowOf("7d", useNow());
  const where = address("/v1/sessions", {
    since: window.since,
    until: window.until,
    limit: 50,
    cursor: param("cursor"),
  });
  const answer = useAnswer<Sessions>(where);
  return (
    <>
      <PageHead title="Sessions" note={<WindowWords window={window} />} json={where}>
        <Range window={window} />
      </PageHead>
      <Shown answer={answer} rows={10}>
        {(data) => (data.sessions.length ? <SessionTable data={data} /> : <NoSession />)}
      </Shown>
    </>
  );
}

function NoSession() {
  return (
    <Empty title="No run of this window names a session.">
      Give <code>session</code> when a run begins, or the attribute <code>session.id</code> of OpenTelemetry:
      the runs of one conversation then stand together here. A longer window may show older ones.
    </Empty>
  );
}

function SessionTable({ data: { sessions, next_cursor } }: { data: Sessions }) {
  return (
    <>
      <Table
        caption="Sessions, the one with the newest run first"
        head={
          <>
            <th scope="col">session</th>
            <th scope="col">last run</th>
            <th scope="col">first run</th>
            <th scope="col" class="num">
              runs
            </th>
            <th scope="col" class="num">
              failed
            </th>
            <th scope="col">agents</th>
          </>
        }
      >
        {sessions.map((one) => (
          <tr key={one.session}>
            <td class="tight">
              <a href={sessionHref(one.session)}>
                <code>{shortId(one.session)}</code>
              </a>
            </td>
            <td class="tight">
              <When at={one.last_started_at} form="second" />
            </td>
            <td class="tight">
              <When at={one.first_started_at} form="second" />
            </td>
            <td class="num">{count(one.runs)}</td>
            <td class="num">{one.failed > 0 ? <span class="bad">✕ {count(one.failed)}</span> : count(0)}</td>
            <td>
              {one.agents.map((agent, at) => (
                <span key={agent}>
                  {at > 0 && ", "}
                  <Name href={agentHref(agent)}>{agent}</Name>
                </span>
              ))}
            </td>
          </tr>
        ))}
      </Table>
      <nav class="pager" aria-label="Pages of the list">
        {param("cursor") !== null && <a href={hereHref({ cursor: null })}>« newest</a>}
        {next_cursor !== null ? (
          <a href={hereHref({ cursor: next_cursor })} rel="next">
            older »
          </a>
        ) : (
          <span class="note">these are the oldest of the window</span>
        )}
      </nav>
    </>
  );
}

const MOST = 500;

export function SessionPage({ id }: { id: string }) {
  const list = `session=${id}&limit=${MOST}`;
  const where = `/v1/runs?${list}`;
  const answer = useAnswer<Runs>(where);
  return (
    <>
      <PageHead
        title="Session"
        note={
          <>
            <code>{id}</code> · its runs, the oldest first
          </>
        }
        json={where}
      >
        <a class="quiet" href={pageHref("/sessions")}>
          all sessions
        </a>
      </PageHead>
      <Shown answer={answer} rows={8}>
        {({ runs, next_cursor }) =>
          runs.length ? (
            <>
              <SessionFacts runs={runs} />
              {next_cursor !== null && (
                <p class="banner">
                  This session is long: these are its newest runs.{" "}
                  <a href={pageHref("/runs", { session: id })}>All of them, newest first</a>
                </p>
              )}
              <RunTable
                runs={runs.toReversed()}
                from={{ list, turned: "1" }}
                caption="Runs of the session, oldest first"
              />
            </>
          ) : (
            <Empty title="This project has no run of this session.">
              It may be expired or deleted. <a href={pageHref("/sessions")}>All sessions</a>
            </Empty>
          )
        }
      </Shown>
    </>
  );
}

function SessionFacts({ runs }: { runs: Runs["runs"] }) {
  const [newest, oldest] = [runs[0]!, runs[runs.length - 1]!];
  const lasted = Date.parse(newest.last_received_at) - Date.parse(oldest.started_at);
  return (
    <Facts>
      <Fact name="runs">{count(runs.length)}</Fact>
      <Fact name="failed">{count(runs.filter(({ status }) => status === "failure").length)}</Fact>
      <Fact name="began">
        <When at={oldest.started_at} form="second" />
      </Fact>
      <Fact name="from first to last">{duration(Math.max(lasted, 0))}</Fact>
    </Facts>
  );
}
