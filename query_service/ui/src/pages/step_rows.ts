/** Steps in the order that is asked for. Pure. */
import type { StepStats } from "../api/types";

export type Sort = "p95" | "errors" | "steps";

const FIGURES: Record<Sort, (step: StepStats) => number> = {
  p95: ({ latency_ms }) => latency_ms?.p95 ?? -1,
  errors: ({ errors }) => errors,
  steps: ({ steps }) => steps,
};

/** The largest first; equal ones by name, so that the order is the same at every look. */
export function stepRows(steps: readonly StepStats[], sort: Sort): StepStats[] {
  const figure = FIGURES[sort];
  return [...steps].sort(
    (one, other) =>
      figure(other) - figure(one) ||
      one.name.localeCompare(other.name) ||
      one.agent_version.localeCompare(other.agent_version),
  );
}
