/** One run: how it ended and why, whether all of it is here, and its steps as a waterfall. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { ApiError } from "../api/client";
import type { Run, Tree } from "../api/types";
import { useAnswer, type Answer } from "../api/use";
import { count, duration, NONE, shortId } from "../format";
import { CompletenessBadge, completenessWords } from "../parts/completeness";
import {
  Copy,
  Empty,
  Fact,
  Facts,
  Loading,
  Name,
  PageHead,
  Refused,
  Status,
  Tabs,
  When,
} from "../parts/parts";
import { pageHref, param, hereHref, setParams } from "../state/url";
import { zoneName } from "../state/window";
import { tookUs } from "../waterfall/load";
import type { WaterfallView } from "../waterfall/view";
import { FailuresTab, JsonTab, ProducersTab } from "./run_tabs";
import { GraphTab } from "./run_graph";
import { StepsTab } from "./run_steps";
import { agentHref, runsCompareHref, sessionHref } from "./hrefs";
import { useNeighbours } from "./run_neighbours";
import { useKeys, useView } from "./run_view";

const FOLLOW_MS = 2_000;

export function RunPage({ id }: { id: string }) {
  const where = `/v1/runs/${id}`;
  const followed = useSignal(true);
  const { data: run, error, reload } = useAnswer<Run>(where, followed.value ? FOLLOW_MS : 0);
  // After the run, so that it is as new.
  const tree = useAnswer<Tree>(run ? `${where}/tree` : null);
  const inside = tree.data?.runs.slice(1).some(({ status }) => status === "running") ?? false;
  useEffect(() => {
    if (run) followed.value = inside || run.status === "running";
  }, [run, inside, followed]);
  useEffect(() => {
    if (run && tree.data && (inside || hasGrown(tree.data.runs[0]!, run))) tree.reload();
    // When the run was looked at again, and only then.
  }, [run]);
  if (error?.status === 404) return <NoSuchRun />;
  if (!run) return error ? <Refused error={error} retry={reload} /> : <Loading />;
  return <Known run={run} tree={tree} stale={error ?? null} />;
}

const hasGrown = (before: Run, now: Run): boolean =>
  before.last_received_at !== now.last_received_at ||
  before.step_count !== now.step_count ||
  before.failure_count !== now.failure_count ||
  before.status !== now.status;

function NoSuchRun() {
  return (
    <Empty page title="This project has no run of this id.">
      It may belong to another project, be deleted or expired, or not have arrived yet.{" "}
      <a href={pageHref("/runs")}>All runs</a>
    </Empty>
  );
}

function Known({ run, tree, stale }: { run: Run; tree: Answer<Tree>; stale: ApiError | null }) {
  const live = run.status === "running";
  const tab = param("tab") ?? "steps";
  const view = useView(run, tree.data);
  const neighbours = useNeighbours(run.run_id);
  useKeys(view, neighbours);
  return (
    <>
      <PageHead
        title={
          <>
            <Name href={agentHref(run.agent_id)}>{run.agent_id}</Name>{" "}
            <span class="version">
              <bdi>{run.agent_version}</bdi>
            </span>
          </>
        }
        note={
          <>
            run <code>{run.run_id}</code> · started <When at={run.started_at} form="full" /> {zoneName.value}
          </>
        }
        json={`/v1/runs/${run.run_id}`}
      >
        {neighbours.known && (
          <span class="neighbours">
            <Neighbour href={neighbours.previous} label="Previous run of the list (k)" sign="‹ k" />
            <Neighbour href={neighbours.next} label="Next run of the list (j)" sign="j ›" />
            {neighbours.list && (
              <a class="quiet" href={neighbours.list}>
                list
              </a>
            )}
          </span>
        )}
        <a class="quiet" href={runsCompareHref(run.run_id, null)} title="Beside another run">
          compare
        </a>
        <Copy text={location.href} label="copy link" />
      </PageHead>
      {stale && <Refused error={stale} />}
      <Facts>
        <Fact name="status">
          <Status of={run.status} /> {live && <span class="live">live</span>}
        </Fact>
        <Fact name="took">
          {run.latency_ms === null ? `${duration(tookUs(run) / 1000)} so far` : duration(run.latency_ms)}
        </Fact>
        <Fact name="steps">
          {count(run.step_count)}
          {run.error_step_count > 0 && <span class="bad"> · {count(run.error_step_count)} failed</span>}
        </Fact>
        {tree.data && tree.data.runs.length > 1 && (
          <Fact name="agents inside">{count(tree.data.runs.length - 1)}</Fact>
        )}
        <Fact name="root cause">
          {run.root_cause ? (
            <button type="button" class="link" title="Go to it (g)" onClick={() => goToRoot(view, tab)}>
              {run.root_cause.failure_type} · {run.root_cause.failure_code}
            </button>
          ) : (
            NONE
          )}
        </Fact>
        <Fact name="completeness">
          <a class="plain" href={hereHref({ tab: "producers" })} title={completenessWords(run.completeness)}>
            <CompletenessBadge of={run.completeness} running={live} />
          </a>
        </Fact>
        <Fact name="last event">
          <When at={run.last_received_at} form="second" />
        </Fact>
        {run.parent_run_id && (
          <Fact name="started by">
            <a href={pageHref(`/runs/${run.parent_run_id}`)}>run {shortId(run.parent_run_id)}</a>
          </Fact>
        )}
        {run.session_digest && (
          <Fact name="session">
            <a href={sessionHref(run.session_digest)} title="The runs of this session, in order">
              {shortId(run.session_digest)}
            </a>
          </Fact>
        )}
        {run.shape && (
          <Fact name="shape">
            <a href={pageHref("/runs", { shape: run.shape })} title="Runs that took the same path">
              {shortId(run.shape)}
            </a>
          </Fact>
        )}
        {Object.entries(run.metadata).map(([name, value]) => (
          <Fact key={name} name={name}>
            <bdi>{String(value)}</bdi>
          </Fact>
        ))}
      </Facts>
      {tree.data ? <Bounds tree={tree.data} /> : null}
      <Tabs
        chosen={tab}
        href={(to) => hereHref({ tab: to === "steps" ? null : to })}
        tabs={[
          { id: "steps", name: `Steps ${count(tree.data?.steps_total ?? run.step_count)}` },
          { id: "graph", name: "Graph" },
          { id: "failures", name: `Failures ${count(run.failure_count)}` },
          { id: "producers", name: "Producers" },
          { id: "json", name: "JSON" },
        ]}
      />
      {tree.error && <Refused error={tree.error} retry={tree.reload} />}
      {tab === "steps" && (view ? <StepsTab run={run} view={view} /> : !tree.error && <Loading rows={12} />)}
      {tab === "graph" && (view ? <GraphTab run={run} tree={view.tree} /> : !tree.error && <Loading />)}
      {tab === "failures" && <FailuresTab run={run} tree={tree.data} />}
      {tab === "producers" && <ProducersTab run={run} />}
      {tab === "json" && <JsonTab run={run} />}
    </>
  );
}

function Neighbour({ href, label, sign }: { href: string | undefined; label: string; sign: string }) {
  if (href === undefined) return null;
  return (
    <a class="quiet" aria-label={label} title={label} href={href}>
      {sign}
    </a>
  );
}

/** What of the run is not shown, or not judged. */
function Bounds({ tree }: { tree: Tree }) {
  const shown = tree.steps.id.length;
  const cut = [
    tree.steps_more && `the first ${count(shown)} of ${count(tree.steps_total)} steps`,
    tree.failures_more && `the first ${count(tree.failures.id.length)} failures`,
    tree.runs_more && `the first ${count(tree.runs.length - 1)} agents inside`,
  ].filter((words) => words !== false);
  return (
    <>
      {tree.truncated_diagnosis && (
        <p class="banner">
          This run is long. All of it is stored; the diagnosis reads the first 1,000 steps and 200 failures of
          an agent. Later failures are marked <b>?</b>: nobody judged whether they were recovered or what
          caused them.
        </p>
      )}
      {cut.length > 0 && (
        <p class="banner">
          Drawn are {cut.join(", ")}. The others are stored, and the JSON has them page by page.
        </p>
      )}
    </>
  );
}

function goToRoot(view: WaterfallView | null, tab: string): void {
  if (tab !== "steps") setParams({ tab: null });
  view?.rootCause();
}
