/** Whether what is shown is all there is: until when, and what is known to be missing. What nobody answers yet is said too. */
import { address } from "../api/client";
import type { Runs } from "../api/types";
import { useAnswer } from "../api/use";
import { count, percent } from "../format";
import { FreshnessWords, useFreshness, type Freshness } from "../parts/complete_to";
import { lossReason } from "../parts/completeness";
import { Card, Empty, Fact, Facts, Meter, PageHead, Prose, Refused, Shown, Table } from "../parts/parts";
import { Range, WindowWords } from "../parts/range";
import { useNow } from "../state/now";
import { windowOf } from "../state/window";
import { RunTable } from "./run_table";
import { lossesOf } from "./trust_sums";

const MOST = 500;

export function TrustPage() {
  const window = windowOf("24h", useNow());
  const list = address("", { since: window.since, until: window.until, limit: MOST }).slice(1);
  const where = `/v1/runs?${list}`;
  const answer = useAnswer<Runs>(where);
  const fresh = useFreshness();
  return (
    <>
      <PageHead title="Trust" note={<WindowWords window={window} />} json={where}>
        <Range window={window} />
      </PageHead>
      {fresh.error && <Refused error={fresh.error} retry={fresh.reload} />}
      {fresh.freshness && <FreshnessCard of={fresh.freshness} />}
      <Shown answer={answer} rows={8}>
        {(data) => <Missing data={data} list={list} />}
      </Shown>
      <NotAnswered />
    </>
  );
}

const MEANING: Record<Freshness["state"], string> = {
  fresh:
    "All that the gateways received until then is stored and shown, of every project. It follows the clock about ten seconds behind, also while nothing comes.",
  old: "The workers are behind, or away. What was received after this is safe in the log, but is not shown yet. `agenttracer status` says which of them run.",
  unknown:
    "The workers have not said how far they are: they have just been started, or none has run on this store yet. `agenttracer status` says which of them run.",
};

function FreshnessCard({ of }: { of: Freshness }) {
  return (
    <Card title="Until when">
      <p class="big" role="status">
        <FreshnessWords of={of} />
      </p>
      <p class="note">
        <Prose>{MEANING[of.state]}</Prose>
      </p>
      <p class="note">An agent that sends late, from a spool or after an outage, is received late.</p>
    </Card>
  );
}

function Missing({ data: { runs, next_cursor }, list }: { data: Runs; list: string }) {
  if (!runs.length) return <Empty title="No run started in this window." />;
  const { runs: by, running, lost, reasons, worst } = lossesOf(runs);
  return (
    <>
      <Card
        title="What is known to be missing"
        note={
          next_cursor === null
            ? `all ${count(runs.length)} runs of the window`
            : `the newest ${count(runs.length)} runs of the window; choose a shorter one to see others`
        }
      >
        <Facts>
          <Fact name="complete">
            <Meter share={by.complete / runs.length} /> {count(by.complete)}{" "}
            <span class="note">{percent(by.complete / runs.length)}</span>
          </Fact>
          <Fact name="with losses">
            {by.lost > 0 ? <span class="bad">▲ {count(by.lost)}</span> : count(0)}
          </Fact>
          <Fact name="not known">
            {count(by.unknown)} {running > 0 && <span class="note">{count(running)} of all still run</span>}
          </Fact>
          <Fact name="events missing">{count(lost)}</Fact>
        </Facts>
        {by.unknown > 0 && (
          <p class="note">
            Not known: the run has no end that counts its events, or its sender does not number them, as
            OpenTelemetry does not.
          </p>
        )}
        {reasons.length > 0 && (
          <Table
            caption="Missing events by reason"
            head={
              <>
                <th scope="col">reason</th>
                <th scope="col" class="num">
                  events
                </th>
              </>
            }
          >
            {reasons.map(([reason, events]) => (
              <tr key={reason}>
                <td>
                  {reason === "unexplained"
                    ? "without a reason: on their way, or lost behind the sender"
                    : lossReason(reason)}
                </td>
                <td class="num">{count(events)}</td>
              </tr>
            ))}
          </Table>
        )}
      </Card>
      {worst.length > 0 && (
        <Card title="Runs that miss the most">
          <RunTable runs={worst} from={{ list }} caption="Runs with lost events, the most first" />
        </Card>
      )}
    </>
  );
}

const ELSEWHERE: readonly (readonly [string, string])[] = [
  ["how far each partition is, and the lag of the workers", "agenttracer status"],
  ["records that could not be read (dead letters)", "agenttracer dlq list"],
  ["whether the store is what the log says", "agenttracer verify"],
];

function NotAnswered() {
  return (
    <Card
      title="Not answered here yet"
      note="the query service does not know these; whoever runs the stack can ask"
    >
      <Table
        caption="What is answered elsewhere"
        head={
          <>
            <th scope="col">question</th>
            <th scope="col">command</th>
          </>
        }
      >
        {ELSEWHERE.map(([question, command]) => (
          <tr key={command}>
            <td>{question}</td>
            <td>
              <code>{command}</code>
            </td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}
