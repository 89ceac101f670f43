/** What is known of the chosen row: a step, an agent inside, or a step that is done again and again. */
import type { ComponentChildren } from "preact";
import type { Failure, Failures, Run, Step } from "../api/types";
import { useAnswer } from "../api/use";
import { address } from "../api/client";
import { count, duration, time } from "../format";
import { CompletenessBadge } from "../parts/completeness";
import { Copy, Kind, Name, Status } from "../parts/parts";
import { pageHref, param } from "../state/url";
import { microseconds } from "../waterfall/load";
import { groupOfEntry } from "../waterfall/rows";
import { agentOf, type RunTree } from "../waterfall/tree";
import type { WaterfallView } from "../waterfall/view";

export function Detail({ run, view }: { run: Run; view: WaterfallView }) {
  const entry = view.chosen.value;
  if (entry === null) {
    return (
      <aside class="detail" aria-label="Chosen step">
        <p class="note">Choose a step to see its times, errors and figures.</p>
      </aside>
    );
  }
  if (entry < 0) return <GroupDetail view={view} group={groupOfEntry(entry)} />;
  if (agentOf(view.tree, entry) > 0) return <AgentDetail view={view} row={entry} />;
  return <StepDetail run={run} view={view} row={entry} />;
}

const FAILURES_MOST = 2_000;

function StepDetail({ run, view, row }: { run: Run; view: WaterfallView; row: number }) {
  const { tree, marks } = view;
  const { steps, strings, failures } = tree;
  const id = steps.id[row]!;
  const owner = tree.runs[steps.run[row]!]!;
  const where = `/v1/runs/${owner.run_id}/steps/${id}`;
  // The address follows a held key late: what is passed by on the way is not asked for.
  const step = useAnswer<Step>(param("step") === id ? where : null);
  const known = step.of === where ? step.data : undefined;
  const failing = owner.failure_count > 0;
  const more = useAnswer<Failures>(
    failing ? address(`/v1/runs/${owner.run_id}/failures`, { limit: FAILURES_MOST }) : null,
  );
  const began = steps.start_us[row]! + microseconds(tree.runs[0]!.started_at);
  return (
    <aside class="detail" aria-label="Chosen step">
      <h2>
        <Name>{strings[steps.name[row]!] ?? ""}</Name>
      </h2>
      <p class="note">
        <Kind of={tree.kinds[steps.kind[row]!] ?? "other"} /> · <code>{id}</code>
      </p>
      <dl class="pairs">
        {owner !== tree.runs[0] && (
          <Pair name="agent">
            <Name href={pageHref(`/runs/${owner.run_id}`)}>{owner.agent_id}</Name>
          </Pair>
        )}
        <Pair name="took">{duration(steps.duration_us[row]! / 1000)}</Pair>
        <Pair name="began after">{duration(steps.start_us[row]! / 1000)}</Pair>
        <Pair name="at">{time(began / 1000, "clock")}</Pair>
        <Pair name="attempt">{steps.attempt[row]!}</Pair>
        <Pair name="status">{steps.error[row] ? "error" : "ok"}</Pair>
        <Text name="error class" tree={tree} at={steps.error_class[row]!} />
        <Text name="error code" tree={tree} at={steps.error_code[row]!} />
        {steps.http_status[row] !== null && <Pair name="HTTP status">{steps.http_status[row]!}</Pair>}
        {steps.cause[row] !== -1 && (
          <Pair name="came from">
            <ToStep view={view} row={steps.cause[row]!} />
          </Pair>
        )}
      </dl>
      {(marks.failuresOf.get(row) ?? []).map((failure) => (
        <FailureNote
          key={failures.id[failure]}
          view={view}
          failure={failure}
          more={more.data?.failures.find(({ failure_id }) => failure_id === failures.id[failure])}
        />
      ))}
      {known ? <Metadata step={known} /> : null}
      <p class="detail-foot">
        <Copy text={`${location.origin}/runs/${run.run_id}?step=${id}`} label="copy link to this step" />
      </p>
    </aside>
  );
}

function AgentDetail({ view: { tree, marks }, row }: { view: WaterfallView; row: number }) {
  const run = tree.runs[agentOf(tree, row)]!;
  return (
    <aside class="detail" aria-label="Chosen agent">
      <h2>
        <Name>{run.agent_id}</Name>{" "}
        <span class="version">
          <bdi>{run.agent_version}</bdi>
        </span>
      </h2>
      <p class="note">
        <Kind of="agent" /> inside of this run
      </p>
      <dl class="pairs">
        <Pair name="status">
          <Status of={run.status} />
        </Pair>
        <Pair name="took">{duration(tree.steps.duration_us[row]! / 1000)}</Pair>
        <Pair name="began after">{duration(tree.steps.start_us[row]! / 1000)}</Pair>
        <Pair name="steps">{count(run.step_count)}</Pair>
        {run.root_cause && (
          <Pair name="root cause">
            {run.root_cause.failure_type} · {run.root_cause.failure_code}
          </Pair>
        )}
        <Pair name="events">
          <CompletenessBadge of={run.completeness} running={run.status === "running"} />
        </Pair>
      </dl>
      {(marks.failuresOf.get(row) ?? []).map((failure) => (
        <p key={tree.failures.id[failure]} class="note">
          {failureWords(tree, failure)}
        </p>
      ))}
      <p>
        <a href={pageHref(`/runs/${run.run_id}`)}>open as a run of its own</a>
      </p>
    </aside>
  );
}

function GroupDetail({ view, group }: { view: WaterfallView; group: number }) {
  const found = view.outline.groups[group]!;
  const { steps, strings, kinds } = view.tree;
  const durations: number[] = [];
  for (let place = found.from; place < found.to; place++) {
    const row = view.outline.order[place]!;
    if (view.outline.groupOf[row] === group) durations.push(steps.duration_us[row]! / 1000);
  }
  durations.sort((a, b) => a - b);
  const failing = view.before[found.to]! - view.before[found.from]!;
  return (
    <aside class="detail" aria-label="Chosen steps">
      <h2>
        <Name>{strings[found.name] ?? ""}</Name> ×{count(found.members)}
      </h2>
      <p class="note">
        <Kind of={kinds[found.kind] ?? "other"} /> · the same step again and again
      </p>
      <dl class="pairs">
        <Pair name="from first to last">{duration((found.endUs - found.startUs) / 1000)}</Pair>
        <Pair name="shortest">{duration(durations[0])}</Pair>
        <Pair name="median">{duration(durations[durations.length >> 1])}</Pair>
        <Pair name="longest">{duration(durations[durations.length - 1])}</Pair>
        <Pair name="failing">{count(failing)}</Pair>
      </dl>
      <button type="button" class="quiet" onClick={() => view.toggle(-1 - group)}>
        {view.folding.value.opened.has(group) ? "fold" : "show them"}
      </button>
    </aside>
  );
}

interface FailureNoteProps {
  view: WaterfallView;
  failure: number;
  /** What the tree leaves out; it may come later. */
  more: Failure | undefined;
}

const RECOVERED = 1;

function FailureNote({ view, failure, more }: FailureNoteProps) {
  const { failures, strings } = view.tree;
  const isRoot = failures.root[failure] === 1;
  const fingerprint = strings[failures.fingerprint[failure]!];
  const cause = failures.step[failures.caused_by[failure]!] ?? -1;
  return (
    <div class={`failure-note${isRoot ? " is-root" : ""}`}>
      <p>
        <b>{failureWords(view.tree, failure)}</b> {isRoot && <span class="mark mark-root">◆ root cause</span>}
        {failures.outcome[failure] === RECOVERED && <span class="mark mark-recovered">↻ recovered</span>}
        {cause !== -1 && (
          <span class="mark mark-passed">
            ⤷ followed from <ToStep view={view} row={cause} />
          </span>
        )}
      </p>
      <p class="note">
        rule <code>{strings[failures.rule[failure]!]}</code>
        {more && <Evidence of={more} />}
      </p>
      {fingerprint !== undefined && (
        <p>
          <a href={pageHref(`/failures/${fingerprint}`)}>others like it</a>
        </p>
      )}
    </div>
  );
}

function Evidence({ of }: { of: Failure }) {
  return (
    <>
      {of.error_class && <> · {of.error_class}</>}
      {of.http_status !== null && <> · HTTP {of.http_status}</>}
      {of.errno !== null && <> · errno {of.errno}</>}
      {of.retry_after_s !== null && <> · retry after {of.retry_after_s} s</>}
      {of.message_chars !== null && <> · message of {count(of.message_chars)} characters, not kept</>}
    </>
  );
}

const failureWords = ({ strings, failures }: RunTree, failure: number): string =>
  `${strings[failures.type[failure]!]} · ${strings[failures.code[failure]!]}`;

function ToStep({ view, row }: { view: WaterfallView; row: number }) {
  return (
    <button type="button" class="link" onClick={() => view.choose(row)}>
      <bdi>{view.tree.strings[view.tree.steps.name[row]!]}</bdi>
    </button>
  );
}

function Metadata({ step }: { step: Step }) {
  const entries = Object.entries(step.metadata);
  if (!entries.length) return null;
  return (
    <dl class="pairs metadata">
      {entries.map(([name, value]) => (
        <Pair key={name} name={name}>
          {typeof value === "number" ? count(value) : String(value)}
        </Pair>
      ))}
    </dl>
  );
}

function Text({ name, tree, at }: { name: string; tree: RunTree; at: number }) {
  return at === -1 ? null : <Pair name={name}>{tree.strings[at]}</Pair>;
}

function Pair({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <bdi>{children}</bdi>
      </dd>
    </div>
  );
}
