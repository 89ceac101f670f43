/** What is known to be missing among some runs, added up. Pure. */
import type { Run } from "../api/types";

export interface Losses {
  runs: Record<"complete" | "lost" | "unknown", number>;
  running: number;
  lost: number;
  /** Events by the reason that their sender gave; those without one are `unexplained`. */
  reasons: [string, number][];
  worst: Run[];
}

const WORST_MOST = 20;

export function lossesOf(runs: readonly Run[]): Losses {
  const found: Losses = {
    runs: { complete: 0, lost: 0, unknown: 0 },
    running: 0,
    lost: 0,
    reasons: [],
    worst: [],
  };
  const reasons = new Map<string, number>();
  const add = (reason: string, events: number) =>
    events > 0 && reasons.set(reason, (reasons.get(reason) ?? 0) + events);
  for (const run of runs) {
    const { state, lost_events, producers } = run.completeness;
    found.runs[state] += 1;
    if (run.status === "running") found.running += 1;
    found.lost += lost_events;
    for (const { declared, unexplained_events } of producers) {
      for (const [reason, events] of Object.entries(declared)) add(reason, events);
      add("unexplained", unexplained_events);
    }
  }
  found.reasons = [...reasons].sort(([, one], [, other]) => other - one);
  found.worst = runs
    .filter(({ completeness }) => completeness.state === "lost")
    .sort((one, other) => other.completeness.lost_events - one.completeness.lost_events)
    .slice(0, WORST_MOST);
  return found;
}
