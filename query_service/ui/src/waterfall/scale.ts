/** Time to place on the axis, from 0 to 1. Squeezed, stretches in which no step is at work take almost no room. */
import type { StepColumns } from "./tree";

export interface Gap {
  fromUs: number;
  toUs: number;
}

export interface Scale {
  startUs: number;
  endUs: number;
  gaps: Gap[];
  place: (us: number) => number;
  timeAt: (place: number) => number;
}

/** A squeezed gap takes this part of what is left; it must be longer than that to be worth it. */
const GAP_SHARE = 0.012;
const GAP_MIN = 0.04;

export function makeScale(steps: StepColumns, runEndUs: number, squeeze: boolean): Scale {
  let startUs = 0;
  let endUs = Math.max(runEndUs, 1);
  for (let row = 0; row < steps.id.length; row++) {
    startUs = Math.min(startUs, steps.start_us[row]!);
    endUs = Math.max(endUs, steps.start_us[row]! + steps.duration_us[row]!);
  }
  const gaps = squeeze ? idle(steps, startUs, endUs) : [];
  return pieces(startUs, endUs, gaps);
}

/** Longer stretches without a step at work. A step that has others inside is at work only while they are, or it began. */
function idle(steps: StepColumns, startUs: number, endUs: number): Gap[] {
  const hasChild = new Uint8Array(steps.id.length);
  for (const parent of steps.parent) if (parent !== -1) hasChild[parent] = 1;
  const leaves: number[] = [];
  for (let row = 0; row < hasChild.length; row++) if (!hasChild[row]) leaves.push(row);
  leaves.sort((a, b) => steps.start_us[a]! - steps.start_us[b]!);
  const least = (endUs - startUs) * GAP_MIN;
  const gaps: Gap[] = [];
  let busyUntil = startUs;
  for (const row of leaves) {
    if (steps.start_us[row]! - busyUntil > least)
      gaps.push({ fromUs: busyUntil, toUs: steps.start_us[row]! });
    busyUntil = Math.max(busyUntil, steps.start_us[row]! + steps.duration_us[row]!);
  }
  if (endUs - busyUntil > least && leaves.length) gaps.push({ fromUs: busyUntil, toUs: endUs });
  return gaps;
}

function pieces(startUs: number, endUs: number, gaps: Gap[]): Scale {
  const idleUs = gaps.reduce((sum, gap) => sum + gap.toUs - gap.fromUs, 0);
  const share = gaps.length ? Math.min(GAP_SHARE, 0.3 / gaps.length) : 0;
  const perUs = (1 - share * gaps.length) / Math.max(endUs - startUs - idleUs, 1);
  const times = [startUs];
  const places = [0];
  for (const gap of gaps) {
    const before = places[places.length - 1]! + (gap.fromUs - times[times.length - 1]!) * perUs;
    times.push(gap.fromUs, gap.toUs);
    places.push(before, before + share);
  }
  times.push(endUs);
  places.push(1);
  return {
    startUs,
    endUs,
    gaps,
    place: (us) => between(us, times, places),
    timeAt: (place) => between(place, places, times),
  };
}

/** Linear between the points; the ends hold beyond them. */
function between(x: number, from: number[], to: number[]): number {
  if (x <= from[0]!) return to[0]!;
  let low = 0;
  let high = from.length - 1;
  if (x >= from[high]!) return to[high]!;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (from[middle]! <= x) low = middle;
    else high = middle;
  }
  const width = from[high]! - from[low]!;
  return width ? to[low]! + ((x - from[low]!) / width) * (to[high]! - to[low]!) : to[high]!;
}

/** Round steps of an axis, at most `most` of them. Works for microseconds and for any other number. */
export function ticks(from: number, to: number, most: number): number[] {
  const raw = Math.max((to - from) / Math.max(most, 1), Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw)!;
  const found: number[] = [];
  for (let at = Math.ceil(from / step) * step; at <= to + step * 1e-9; at += step) found.push(at);
  return found;
}
