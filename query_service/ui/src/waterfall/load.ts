/** The API's tree of runs as the tree that is drawn: agents inside become rows, with their steps below them. */
import type { Run, Tree } from "../api/types";
import type { RunTree } from "./tree";

export const AGENT = "agent";

export function runTree(tree: Tree): RunTree {
  const { runs, runs_parent, runs_step, kinds, strings, steps, failures } = tree;
  const agentsFrom = steps.id.length;
  const inside = runs.slice(1);
  const rowOf = (run: number): number => (run > 0 ? agentsFrom + run - 1 : -1);
  const fill = <T>(value: T): T[] => inside.map(() => value);
  const origin = microseconds(runs[0]!.started_at);
  return {
    runs,
    agentsFrom,
    kinds: [...kinds, AGENT],
    strings: [...strings, ...inside.map(({ agent_id }) => agent_id)],
    steps: {
      id: [...steps.id, ...inside.map(({ run_id }) => run_id)],
      run: [...steps.run, ...inside.map((_, at) => at + 1)],
      parent: [
        ...steps.parent.map((parent, row) => (parent === -1 ? rowOf(steps.run[row]!) : parent)),
        ...inside.map((_, at) =>
          runs_step[at + 1] === -1 ? rowOf(runs_parent[at + 1]!) : runs_step[at + 1]!,
        ),
      ],
      kind: [...steps.kind, ...fill(kinds.length)],
      name: [...steps.name, ...inside.map((_, at) => strings.length + at)],
      // Whether it failed is said by its status; what failed in it has marks of its own.
      error: [...steps.error, ...fill(0)],
      attempt: [...steps.attempt, ...fill(1)],
      start_us: [...steps.start_us, ...inside.map(({ started_at }) => microseconds(started_at) - origin)],
      duration_us: [...steps.duration_us, ...inside.map(tookUs)],
      error_class: [...steps.error_class, ...fill(-1)],
      error_code: [...steps.error_code, ...fill(-1)],
      http_status: [...steps.http_status, ...fill(null)],
      model: [...steps.model, ...fill(-1)],
      cause: [...steps.cause, ...fill(-1)],
    },
    failures: {
      ...failures,
      step: failures.step.map((step, at) => (step === -1 ? rowOf(failures.run[at]!) : step)),
    },
  };
}

/** How long a run took, or takes so far. */
export const tookUs = (run: Run): number =>
  Math.max(
    run.latency_ms === null
      ? microseconds(run.last_received_at) - microseconds(run.started_at)
      : Math.round(run.latency_ms * 1000),
    0,
  );

/** A time of the API, which is more exact than a Date. */
export function microseconds(at: string): number {
  const fraction = /\.(\d+)/.exec(at)?.[1] ?? "";
  return Date.parse(at.replace(/\.\d+/, "")) * 1000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}
