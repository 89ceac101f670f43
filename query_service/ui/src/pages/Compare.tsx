/** One version beside another, in one window or in two, or one run beside another: what differs, by how much, and how sure that is. */
import { address } from "../api/client";
import type { Agents, Comparison, Measure } from "../api/types";
import { useAnswer } from "../api/use";
import { count, duration, NONE, percent, short } from "../format";
import { Card, Empty, Kind, Name, PageHead, Shown, Table, When } from "../parts/parts";
import { Range, WindowWords } from "../parts/range";
import { useNow } from "../state/now";
import { hereHref, param, setParams } from "../state/url";
import { iso, windowOf, type TimeWindow } from "../state/window";
import { changesOf } from "./changes";
import { intervalOf, reachOf, sections, verdictOf, type Section, type Verdict } from "./compare_layout";
import { CompareRuns } from "./CompareRuns";
import { agentHref, compareHref } from "./hrefs";

type Side = "a" | "b";

export function ComparePage() {
  const run = param("a");
  return run === null ? <CompareCohorts /> : <CompareRuns a={run} b={param("b")} />;
}

function CompareCohorts() {
  const window = windowOf("7d", useNow());
  const agents = useAnswer<Agents>(
    address("/v1/agents", { since: before(window).since, until: window.until }),
  );
  const earlier = param("a_window") === "before";
  const known = param("a_agent_id") !== null && param("b_agent_id") !== null;
  const of = (side: Side, { since, until }: { since: string; until: string }) => ({
    [`${side}_agent_id`]: param(`${side}_agent_id`),
    [`${side}_agent_version`]: param(`${side}_agent_version`),
    [`${side}_since`]: since,
    [`${side}_until`]: until,
  });
  const where = address("/v1/compare", {
    ...of("a", earlier ? before(window) : window),
    ...of("b", window),
  });
  const answer = useAnswer<Comparison>(known ? where : null);
  return (
    <>
      <PageHead title="Compare" note={<WindowWords window={window} />} {...(known ? { json: where } : {})}>
        <Range window={window} />
      </PageHead>
      <form class="filters open" aria-label="What is compared" onSubmit={(event) => event.preventDefault()}>
        <Cohort side="a" agents={agents.data} />
        <label class={earlier ? "filter active" : "filter"}>
          <span>window of A</span>
          <select
            value={earlier ? "before" : ""}
            onChange={(event) => setParams({ a_window: event.currentTarget.value })}
          >
            <option value="">the same</option>
            <option value="before">the one before</option>
          </select>
        </label>
        <Cohort side="b" agents={agents.data} />
        {known && (
          <a class="quiet" href={hereHref(swapped())}>
            swap
          </a>
        )}
      </form>
      {known ? (
        <Shown answer={answer} rows={12}>
          {(data) => <Differences data={data} />}
        </Shown>
      ) : (
        <Shown answer={agents}>{(data) => <Offers agents={data} />}</Shown>
      )}
    </>
  );
}

/** The window of the same length that ends where this one begins. */
function before({ since, until }: TimeWindow): { since: string; until: string } {
  return { since: iso(2 * Date.parse(since) - Date.parse(until)), until: since };
}

function swapped(): Record<string, string | null> {
  return {
    a_agent_id: param("b_agent_id"),
    a_agent_version: param("b_agent_version"),
    b_agent_id: param("a_agent_id"),
    b_agent_version: param("a_agent_version"),
  };
}

function Cohort({ side, agents }: { side: Side; agents: Agents | undefined }) {
  const agent = param(`${side}_agent_id`);
  const version = param(`${side}_agent_version`);
  const versions =
    agents?.agents
      .find(({ agent_id }) => agent_id === agent)
      ?.versions.map(({ agent_version }) => agent_version) ?? [];
  const names = agents?.agents.map(({ agent_id }) => agent_id) ?? [];
  return (
    <>
      <Choice
        label={`agent ${side.toUpperCase()}`}
        value={agent}
        choices={names}
        none="choose"
        onChange={(to) => setParams({ [`${side}_agent_id`]: to, [`${side}_agent_version`]: null })}
      />
      <Choice
        label={`version ${side.toUpperCase()}`}
        value={version}
        choices={versions}
        none="all"
        onChange={(to) => setParams({ [`${side}_agent_version`]: to })}
      />
    </>
  );
}

interface ChoiceProps {
  label: string;
  value: string | null;
  choices: string[];
  none: string;
  onChange: (to: string) => void;
}

function Choice({ label, value, choices, none, onChange }: ChoiceProps) {
  // A name of the address is shown also while, or where, the list does not hold it.
  const all = value !== null && !choices.includes(value) ? [value, ...choices] : choices;
  return (
    <label class={value === null ? "filter" : "filter active"}>
      <span>{label}</span>
      <select value={value ?? ""} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{none}</option>
        {all.map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Where nothing is chosen: the newest version of each agent beside the one before it. */
function Offers({ agents }: { agents: Agents }) {
  const changes = changesOf(agents);
  if (!changes.length) {
    return (
      <Empty title="Choose two agents or versions above.">
        No agent has two versions with runs in this window or the one before it. A longer window may show
        more.
      </Empty>
    );
  }
  return (
    <Card title="Choose two versions above, or one of these pairs">
      <ul class="changes">
        {changes.map(({ agent, before: old, after }) => (
          <li key={agent}>
            <a
              href={compareHref(
                { agent, version: old.agent_version },
                { agent, version: after.agent_version },
              )}
            >
              <bdi>{agent}</bdi> <bdi>{old.agent_version}</bdi> → <bdi>{after.agent_version}</bdi>
            </a>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Differences({ data }: { data: Comparison }) {
  const found = data.measures.filter(({ significant }) => significant);
  return (
    <>
      <div class="two">
        <SideCard name="A" side={data.a} />
        <SideCard name="B" side={data.b} />
      </div>
      <p class="banner" role="status">
        {data.a.over === 0 || data.b.over === 0
          ? "One side has no run that is over in its window, so nothing can be compared."
          : found.length
            ? `${count(found.length)} of ${count(data.measures.length)} measures differ beyond chance.`
            : `None of ${count(data.measures.length)} measures differs beyond chance. That is no proof that nothing changed: the intervals say how much could have.`}{" "}
        B less A, with the {percent(data.confidence)} interval. p is corrected for all measures together (
        {data.correction}).
      </p>
      {sections(data.measures).map((section) => (
        <MeasureTable key={section.title} section={section} />
      ))}
    </>
  );
}

function SideCard({ name, side }: { name: string; side: Comparison["a"] }) {
  return (
    <Card
      title={
        <>
          {name}:{" "}
          {side.agent_id === null ? (
            "all agents"
          ) : (
            <Name href={agentHref(side.agent_id)}>{side.agent_id}</Name>
          )}{" "}
          <span class="version">
            <bdi>{side.agent_version ?? "all versions"}</bdi>
          </span>
        </>
      }
    >
      <p class="note">
        {count(side.runs)} runs, {count(side.over)} of them over · <When at={side.window.since} /> –{" "}
        <When at={side.window.until} />
      </p>
    </Card>
  );
}

const WORDS: Record<string, string> = {
  failure_rate: "failure rate",
  p50_ms: "latency, p50",
  p95_ms: "latency, p95",
  p99_ms: "latency, p99",
  steps_per_run: "steps of a run, mean",
  tokens_per_run: "tokens of a run, mean",
  failure_code_rate: "runs that begin to fail so",
  step_error_rate: "error rate",
  step_p95_ms: "latency, p95",
};
const VERDICTS: Record<Verdict, string> = {
  worse: "▲ worse",
  better: "▼ better",
  differs: "◆ differs",
  same: "within chance",
  open: "not tested",
};

function MeasureTable({ section: { title, measures } }: { section: Section }) {
  const reach = { rate: reachOf(measures, "rate"), ms: reachOf(measures, "ms"), count: 1 };
  return (
    <Card title={title}>
      <Table
        caption={`${title}: A and B`}
        head={
          <>
            <th scope="col">measure</th>
            <th scope="col" class="num">
              A
            </th>
            <th scope="col" class="num">
              B
            </th>
            <th scope="col" class="num">
              difference
            </th>
            <th scope="col">interval</th>
            <th scope="col" class="num">
              n of A
            </th>
            <th scope="col" class="num">
              n of B
            </th>
            <th scope="col" class="num">
              p
            </th>
            <th scope="col">verdict</th>
          </>
        }
      >
        {measures.map((one) => (
          <MeasureRow
            key={`${one.measure} ${one.step?.kind ?? one.failure?.failure_type} ${one.step?.name ?? one.failure?.failure_code}`}
            measure={one}
            reach={reach[one.unit]}
          />
        ))}
      </Table>
    </Card>
  );
}

function MeasureRow({ measure, reach }: { measure: Measure; reach: number }) {
  const { unit, difference, low, high, p_corrected, step, failure } = measure;
  const verdict = verdictOf(measure);
  return (
    <tr>
      <td class="wide-cell">
        {step && (
          <>
            <Kind of={step.kind} /> <Name>{step.name}</Name>{" "}
          </>
        )}
        {failure && `${failure.failure_type} · ${failure.failure_code} `}
        <span class={step || failure ? "note" : undefined}>{WORDS[measure.measure] ?? measure.measure}</span>
      </td>
      <td class="num">{figure(measure.a, unit)}</td>
      <td class="num">{figure(measure.b, unit)}</td>
      <td class="num">
        {signed(difference, unit)}
        {low !== null && high !== null && (
          <span class="sub">
            {signed(low, unit)} to {signed(high, unit)}
          </span>
        )}
      </td>
      <td>
        <IntervalBar measure={measure} reach={reach} verdict={verdict} />
      </td>
      <td class="num">{count(measure.n_a)}</td>
      <td class="num">{count(measure.n_b)}</td>
      <td class="num">
        {p_corrected === null ? NONE : p_corrected < 0.001 ? "<0.001" : p_corrected.toFixed(3)}
      </td>
      <td class={`tight verdict-${verdict}`}>{VERDICTS[verdict]}</td>
    </tr>
  );
}

const WIDE = 120;

function IntervalBar({ measure, reach, verdict }: { measure: Measure; reach: number; verdict: Verdict }) {
  const found = intervalOf(measure);
  if (!found) return <>{NONE}</>;
  const x = (value: number) => WIDE / 2 + (Math.min(Math.max(value / reach, -1), 1) * (WIDE - 8)) / 2;
  const tone = verdict === "worse" ? "bad" : verdict === "better" ? "ok" : "muted";
  return (
    <svg class="spark" width={WIDE} height="16" aria-hidden="true">
      <line class="pointer" x1={WIDE / 2} x2={WIDE / 2} y1="0" y2="16" />
      <line class={`line stroke-${tone}`} x1={x(found.low)} x2={x(found.high)} y1="8" y2="8" />
      <circle class={`fill-${tone}`} cx={x(found.at)} cy="8" r="3.5" />
    </svg>
  );
}

function figure(value: number | null, unit: Measure["unit"]): string {
  if (value === null) return NONE;
  return unit === "rate" ? percent(value) : unit === "ms" ? duration(value) : short(value);
}

function signed(value: number | null, unit: Measure["unit"]): string {
  if (value === null) return NONE;
  if (value === 0) return "±0";
  const sign = value > 0 ? "+" : "−";
  const size = Math.abs(value);
  if (unit === "rate") return `${sign}${(size * 100).toFixed(1)} points`;
  return `${sign}${unit === "ms" ? duration(size) : short(size)}`;
}
