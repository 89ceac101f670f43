/** What is known of a step's failure, as one mark. Causes come from the diagnosis of the run, never from the order of times. */
import type { FailureColumns, RunTree } from "./tree";

export type Mark = "none" | "root" | "failed" | "recovered" | "passed" | "unjudged";

const RECOVERED = 1;
const NOT_JUDGED = 0;

export interface Marks {
  byStep: Mark[];
  failuresOf: Map<number, number[]>;
  /** Rows in which root causes lie: the run's own first, then those of the agents inside. */
  roots: number[];
}

export function marksOf(tree: RunTree): Marks {
  const { steps, failures } = tree;
  const failuresOf = new Map<number, number[]>();
  failures.step.forEach((row, failure) => {
    const found = failuresOf.get(row);
    if (found) found.push(failure);
    else if (row !== -1) failuresOf.set(row, [failure]);
  });
  const byStep = steps.id.map((_, row): Mark => markOf(row, tree, failuresOf.get(row) ?? []));
  return { byStep, failuresOf, roots: rootsOf(failures) };
}

function rootsOf({ root, run, step }: FailureColumns): number[] {
  const found = [...root.keys()].filter((failure) => root[failure] === 1 && step[failure] !== -1);
  return found.sort((one, other) => run[one]! - run[other]!).map((failure) => step[failure]!);
}

function markOf(row: number, { runs, steps, failures }: RunTree, own: number[]): Mark {
  if (own.some((failure) => failures.root[failure] === 1)) return "root";
  if (steps.cause[row] !== -1 || own.some((failure) => failures.caused_by[failure] !== -1)) return "passed";
  if (own.length && own.every((failure) => failures.outcome[failure] === RECOVERED)) return "recovered";
  // Of a run of which the diagnosis reads the beginning alone.
  if (runs[steps.run[row]!]!.truncated && own.some((failure) => failures.outcome[failure] === NOT_JUDGED))
    return "unjudged";
  return steps.error[row] || own.length ? "failed" : "none";
}

export const MARK_WORDS: Record<Mark, string> = {
  none: "",
  root: "root cause",
  failed: "failed",
  recovered: "recovered",
  passed: "followed from another failure",
  unjudged: "failed; beyond what is diagnosed",
};
export const MARK_SIGNS: Record<Mark, string> = {
  none: "",
  root: "◆",
  failed: "✕",
  recovered: "↻",
  passed: "⤷",
  unjudged: "?",
};
