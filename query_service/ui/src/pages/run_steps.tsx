/** The tab with the waterfall and its tools. */
import type { Run } from "../api/types";
import { count } from "../format";
import { Empty, Kind } from "../parts/parts";
import { MARK_SIGNS, MARK_WORDS } from "../waterfall/marks";
import type { WaterfallView } from "../waterfall/view";
import { Waterfall } from "../waterfall/Waterfall";
import { Detail } from "./run_detail";

export function StepsTab({ run, view }: { run: Run; view: WaterfallView }) {
  if (!view.tree.steps.id.length) {
    return (
      <Empty title="No step has arrived yet.">
        {run.status === "running" ? "They appear here as they finish." : "The run has none."}
      </Empty>
    );
  }
  return (
    <div class="run-steps">
      <div class="run-main">
        <Tools view={view} />
        <Waterfall view={view} label={`Steps of run ${run.run_id}`} />
        <Legend view={view} />
      </div>
      <Detail run={run} view={view} />
    </div>
  );
}

function Tools({ view }: { view: WaterfallView }) {
  const { from, to } = view.span.value;
  return (
    <div class="tools" role="toolbar" aria-label="Waterfall">
      <span class="tool-group">
        <button
          type="button"
          class="quiet"
          title="Fold all but the first level (1)"
          onClick={() => view.depth(1)}
        >
          fold
        </button>
        <button type="button" class="quiet" title="Unfold everything (0)" onClick={() => view.depth(0)}>
          unfold
        </button>
      </span>
      <span class="tool-group">
        <button
          type="button"
          class="quiet"
          disabled={from === 0 && to === 1}
          title="Show the whole time (z)"
          onClick={() => view.fit()}
        >
          fit
        </button>
        {view.hasGaps && (
          <button
            type="button"
            class="quiet"
            aria-pressed={view.squeeze.value}
            title="Squeeze stretches without a step at work (.)"
            onClick={() => (view.squeeze.value = !view.squeeze.value)}
          >
            squeeze gaps
          </button>
        )}
      </span>
      {view.failing > 0 && (
        <span class="tool-group">
          <button
            type="button"
            class="quiet"
            aria-label="Previous failure"
            title="Previous failure (p)"
            onClick={() => view.failure(-1)}
          >
            ‹
          </button>
          <span class="bad">
            {view.failureNumber > 0
              ? `failure ${count(view.failureNumber)} of ${count(view.failing)}`
              : `${count(view.failing)} failing`}
          </span>
          <button
            type="button"
            class="quiet"
            aria-label="Next failure"
            title="Next failure (n)"
            onClick={() => view.failure(1)}
          >
            ›
          </button>
          {view.marks.roots.length > 0 && (
            <button
              type="button"
              class="quiet"
              title="Go to the root cause (g)"
              onClick={() => view.rootCause()}
            >
              ◆ root cause
            </button>
          )}
        </span>
      )}
      <details class="keys">
        <summary>keys</summary>
        <dl>
          {KEYS.map(([keys, what]) => (
            <div key={keys}>
              <dt>{keys}</dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
      </details>
    </div>
  );
}

const KEYS = [
  ["↑ ↓", "step"],
  ["← →", "fold, unfold"],
  ["1–9, 0", "depth, all"],
  ["n p", "next, previous failure"],
  ["g", "root cause"],
  ["c", "copy link"],
  ["z", "whole time"],
  [".", "squeeze gaps"],
  ["j k", "next, previous run of the list"],
] as const;

function Legend({ view }: { view: WaterfallView }) {
  const used = new Set(view.marks.byStep);
  const kinds = view.tree.runs.length > 1 ? view.tree.kinds : view.tree.kinds.slice(0, -1);
  return (
    <p class="wf-legend note">
      {kinds.map((kind) => (
        <Kind key={kind} of={kind} />
      ))}
      {(["root", "failed", "passed", "recovered", "unjudged"] as const)
        .filter((mark) => used.has(mark))
        .map((mark) => (
          <span key={mark} class={`mark mark-${mark}`}>
            {MARK_SIGNS[mark]} {MARK_WORDS[mark]}
          </span>
        ))}
    </p>
  );
}
