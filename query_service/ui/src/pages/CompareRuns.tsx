/** One run beside another: where their paths part, and what each did more, longer or with other failures. */
import { address } from "../api/client";
import type { Run, Runs, TwoRuns } from "../api/types";
import { useAnswer } from "../api/use";
import { count, duration, money, NONE, shortId } from "../format";
import { Card, Empty, Kind, Name, PageHead, Shown, Status, Table, When } from "../parts/parts";
import { hereHref, pageHref } from "../state/url";
import { agentHref, runsCompareHref } from "./hrefs";

export function CompareRuns({ a, b }: { a: string; b: string | null }) {
  if (b === null) return <ChooseOther a={a} />;
  return <Both a={a} b={b} />;
}

function Both({ a, b }: { a: string; b: string }) {
  const where = address("/v1/compare/runs", { a, b });
  const answer = useAnswer<TwoRuns>(where);
  if (answer.error?.status === 404) {
    return (
      <Empty page title="This project does not have both of these runs.">
        <a href={pageHref("/runs")}>All runs</a>
      </Empty>
    );
  }
  return (
    <>
      <PageHead title="Two runs" note="B beside A" json={where}>
        <a class="quiet" href={hereHref({ a: b, b: a })}>
          swap
        </a>
        <a class="quiet" href={hereHref({ b: null })}>
          another beside A
        </a>
      </PageHead>
      <Shown answer={answer} rows={10}>
        {(found) => <Found found={found} />}
      </Shown>
    </>
  );
}

function Found({ found }: { found: TwoRuns }) {
  return (
    <>
      <div class="two">
        <RunCard name="A" run={found.a} />
        <RunCard name="B" run={found.b} />
      </div>
      <p class="banner" role="status">
        {found.diverges_at === null
          ? "Both took the same path: the same steps in the same order, with the same results."
          : `The same path for ${count(found.diverges_at)} steps; then they part.`}
        {found.truncated && " One of them is long: the first 20,000 steps and failures are compared."}
      </p>
      <MeasureTable found={found} />
      <StepTable found={found} />
      <FailureTable found={found} />
    </>
  );
}

function RunCard({ name, run }: { name: string; run: Run }) {
  return (
    <Card
      title={
        <>
          {name}: <Name href={agentHref(run.agent_id)}>{run.agent_id}</Name>{" "}
          <span class="version">
            <bdi>{run.agent_version}</bdi>
          </span>
        </>
      }
    >
      <p>
        <Status of={run.status} />
        {run.root_cause && ` · ${run.root_cause.failure_type} · ${run.root_cause.failure_code}`}
      </p>
      <p class="note">
        <a href={pageHref(`/runs/${run.run_id}`)}>run {shortId(run.run_id)}</a> · started{" "}
        <When at={run.started_at} form="second" />
      </p>
    </Card>
  );
}

const WORDS: Record<string, string> = {
  latency_ms: "took",
  steps: "steps",
  error_steps: "failed steps",
  failures: "failures",
  tokens: "tokens",
  cost_usd: "cost",
};

function figure(measure: string, value: number | null): string {
  if (value === null) return NONE;
  if (measure === "latency_ms") return duration(value);
  return measure === "cost_usd" ? money(value, "USD") : count(value);
}

/** With its sign. */
function difference(measure: string, value: number | null): string {
  if (value === null) return NONE;
  if (value === 0) return "±0";
  return `${value > 0 ? "+" : "−"}${figure(measure, Math.abs(value))}`;
}

const SIDES = (
  <>
    <th scope="col" class="num">
      A
    </th>
    <th scope="col" class="num">
      B
    </th>
    <th scope="col" class="num">
      B less A
    </th>
  </>
);

function MeasureTable({ found }: { found: TwoRuns }) {
  const measures = found.measures.filter(({ a, b }) => a !== null || b !== null);
  return (
    <Card title="The runs">
      <Table
        caption="The runs: A and B"
        head={
          <>
            <th scope="col">measure</th>
            {SIDES}
          </>
        }
      >
        {measures.map(({ measure, a, b, difference: by }) => (
          <tr key={measure}>
            <td>{WORDS[measure] ?? measure}</td>
            <td class="num">{figure(measure, a)}</td>
            <td class="num">{figure(measure, b)}</td>
            <td class="num">{difference(measure, by)}</td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

type Side = TwoRuns["steps"][number]["a"];

function StepTable({ found }: { found: TwoRuns }) {
  return (
    <Card title="Steps" note="by kind and name, in the order in which they began">
      <Table
        caption="Steps: A and B"
        head={
          <>
            <th scope="col">step</th>
            {SIDES}
            <th scope="col">what differs</th>
          </>
        }
      >
        {found.steps.map(({ kind, name, a, b }) => (
          <tr key={`${kind} ${name}`}>
            <td class="wide-cell">
              <Kind of={kind} /> <Name>{name}</Name>
            </td>
            <StepCell of={a} />
            <StepCell of={b} />
            <td class="num">{difference("latency_ms", (b?.latency_ms ?? 0) - (a?.latency_ms ?? 0))}</td>
            <td class="tight">{differs(a, b)}</td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

function StepCell({ of }: { of: Side }) {
  if (!of) return <td class="num">{NONE}</td>;
  return (
    <td class="num">
      {duration(of.latency_ms)}
      <span class="sub">
        ×{count(of.calls)}
        {of.errors > 0 && <span class="bad"> · ✕ {count(of.errors)}</span>}
      </span>
    </td>
  );
}

function differs(a: Side, b: Side): string {
  if (!a) return "in B alone";
  if (!b) return "in A alone";
  const said = [
    a.errors !== b.errors && `${difference("errors", b.errors - a.errors)} failed`,
    a.calls !== b.calls && `${difference("calls", b.calls - a.calls)} calls`,
    a.models.join() !== b.models.join() && "another model",
  ].filter((words) => words !== false);
  return said.join(", ") || NONE;
}

function FailureTable({ found }: { found: TwoRuns }) {
  if (!found.failures.length) return null;
  return (
    <Card title="Failures">
      <Table
        caption="Failures: A and B"
        head={
          <>
            <th scope="col">failure</th>
            {SIDES}
          </>
        }
      >
        {found.failures.map(({ failure_type, failure_code, a, b }) => (
          <tr key={`${failure_type} ${failure_code}`}>
            <td>
              {failure_type} · {failure_code}
            </td>
            <td class="num">{count(a)}</td>
            <td class="num">{count(b)}</td>
            <td class="num">{difference("failures", b - a)}</td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

const OFFERED = 25;

/** Runs of the same agent, of which one is to stand beside A. */
function ChooseOther({ a }: { a: string }) {
  const { data: run, error } = useAnswer<Run>(`/v1/runs/${a}`);
  const list = useAnswer<Runs>(run ? address("/v1/runs", { agent_id: run.agent_id, limit: OFFERED }) : null);
  if (error?.status === 404) return <Empty page title="This project has no run of this id." />;
  return (
    <>
      <PageHead title="Two runs" note="Choose the run that is to stand beside A." />
      {run && <RunCard name="A" run={run} />}
      <Shown answer={list} rows={8}>
        {({ runs }) => (
          <Table
            caption="Runs of the same agent, newest first"
            head={
              <>
                <th scope="col">beside A</th>
                <th scope="col">version</th>
                <th scope="col">status</th>
                <th scope="col" class="num">
                  took
                </th>
                <th scope="col">path</th>
              </>
            }
          >
            {runs
              .filter(({ run_id }) => run_id !== a)
              .map((one) => (
                <tr key={one.run_id}>
                  <td class="tight">
                    <a href={runsCompareHref(a, one.run_id)}>
                      <When at={one.started_at} form="second" />
                    </a>
                  </td>
                  <td class="version">
                    <bdi>{one.agent_version}</bdi>
                  </td>
                  <td class="tight">
                    <Status of={one.status} />
                  </td>
                  <td class="num">{duration(one.latency_ms)}</td>
                  <td class="tight">
                    {one.shape !== null && one.shape === run?.shape ? "the same" : "another"}
                  </td>
                </tr>
              ))}
          </Table>
        )}
      </Shown>
    </>
  );
}
