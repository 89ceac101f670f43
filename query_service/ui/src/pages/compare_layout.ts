/** What a comparison says, apart from how it is drawn. Pure. */
import type { Measure } from "../api/types";

export type Verdict = "worse" | "better" | "differs" | "same" | "open";

/** More of these is neither good nor bad. */
const NEUTRAL = new Set(["steps_per_run", "tokens_per_run"]);

export function verdictOf({ measure, difference, p_corrected, significant }: Measure): Verdict {
  if (difference === null || p_corrected === null) return "open";
  if (!significant || difference === 0) return "same";
  if (NEUTRAL.has(measure)) return "differs";
  return difference > 0 ? "worse" : "better";
}

export interface Section {
  title: string;
  measures: Measure[];
}

/** Of runs, of failures, and of steps; what differs beyond chance stands first in each. Tokens that nobody counted are left out. */
export function sections(all: readonly Measure[]): Section[] {
  const measures = all.filter(({ measure, a, b }) => measure !== "tokens_per_run" || a || b);
  const found: Section[] = [
    { title: "Runs", measures: measures.filter(({ step, failure }) => step === null && failure === null) },
    { title: "First failures", measures: measures.filter(({ failure }) => failure !== null) },
    { title: "Steps", measures: measures.filter(({ step }) => step !== null) },
  ];
  for (const one of found) one.measures.sort((first, other) => +other.significant - +first.significant);
  return found.filter((one) => one.measures.length > 0);
}

export interface Interval {
  at: number;
  low: number;
  high: number;
}

/** Difference and interval on an axis that rates share with each other, and latencies as shares of A; null where it has none. */
export function intervalOf({ unit, a, difference, low, high }: Measure): Interval | null {
  const of = unit === "rate" ? 1 : a;
  if (difference === null || low === null || high === null || !of) return null;
  return { at: difference / of, low: low / of, high: high / of };
}

/** How far the axis of these measures reaches to either side of 0, for those of one unit. */
export function reachOf(measures: readonly Measure[], unit: Measure["unit"]): number {
  const ends = measures
    .filter((one) => one.unit === unit)
    .flatMap((one) => {
      const found = intervalOf(one);
      return found ? [Math.abs(found.low), Math.abs(found.high)] : [];
    });
  return Math.min(Math.max(...ends, 0.01), MOST);
}

/** Three times A is as far as a drawn latency goes; the numbers beside it say the rest. */
const MOST = 2;
