/** Which rows are shown: the outline less what is folded. An entry is a step's row (≥ 0), or a group's heading (-1 - group). */
import type { FailureColumns, Outline, StepColumns } from "./tree";

export interface Folding {
  /** Rows whose descendants are hidden. */
  folded: ReadonlySet<number>;
  /** Groups whose members are shown. */
  opened: ReadonlySet<number>;
}

export interface Shown {
  entries: Int32Array;
  levels: Int32Array;
  /** Failing steps in the entry itself and in all that it hides. */
  failing: Int32Array;
}

export const groupEntry = (group: number): number => -1 - group;
export const groupOfEntry = (entry: number): number => -1 - entry;

export function shownRows(outline: Outline, folding: Folding, failingBefore: Int32Array): Shown {
  const size = outline.order.length;
  const entries = new Int32Array(size + outline.groups.length);
  const levels = new Int32Array(entries.length);
  const failing = new Int32Array(entries.length);
  const openEnds: number[] = [];
  let length = 0;
  const push = (entry: number, level: number, from: number, to: number) => {
    entries[length] = entry;
    levels[length] = level;
    failing[length] = failingBefore[to]! - failingBefore[from]!;
    length += 1;
  };
  for (let place = 0; place < size;) {
    while (openEnds.length && place >= openEnds[openEnds.length - 1]!) openEnds.pop();
    const row = outline.order[place]!;
    const group = outline.groupAt[place]!;
    if (group !== -1) {
      const { to } = outline.groups[group]!;
      const open = folding.opened.has(group);
      push(groupEntry(group), outline.depth[row]! + openEnds.length, place, open ? place : to);
      if (!open) {
        place = to;
        continue;
      }
      openEnds.push(to);
    }
    const hides = folding.folded.has(row) ? outline.end[row]! : place + 1;
    push(row, outline.depth[row]! + openEnds.length, place, hides);
    place = hides;
  }
  return {
    entries: entries.slice(0, length),
    levels: levels.slice(0, length),
    failing: failing.slice(0, length),
  };
}

/** By place in the walk: how many failing steps come before it. */
export function failingBefore(outline: Outline, steps: StepColumns, failures: FailureColumns): Int32Array {
  const fails = failingSteps(steps, failures);
  const before = new Int32Array(outline.order.length + 1);
  for (let place = 0; place < outline.order.length; place++) {
    before[place + 1] = before[place]! + fails[outline.order[place]!]!;
  }
  return before;
}

/** 1 for each step that has an error or a failure. */
export function failingSteps(steps: StepColumns, failures: FailureColumns): Uint8Array {
  const fails = Uint8Array.from(steps.error);
  for (const row of failures.step) if (row !== -1) fails[row] = 1;
  return fails;
}

/** Everything from this depth on is folded away; 0 folds nothing. Groups stay as they are. */
export function foldedAtDepth(outline: Outline, depth: number): Set<number> {
  const folded = new Set<number>();
  if (depth > 0) {
    for (let row = 0; row < outline.order.length; row++) {
      if (outline.depth[row] === depth - 1 && outline.end[row]! > outline.placeOf[row]! + 1) folded.add(row);
    }
  }
  return folded;
}

/** The folding with which a row is shown. */
export function revealed(outline: Outline, folding: Folding, row: number): Folding {
  const folded = new Set(folding.folded);
  const opened = new Set(folding.opened);
  for (let at = row; at !== -1; at = outline.parent[at]!) {
    if (at !== row) folded.delete(at);
    if (outline.groupOf[at] !== -1) opened.add(outline.groupOf[at]!);
  }
  return { folded, opened };
}

/** The next failing step in the walk behind (or, backwards, before) a place; -1 where there is none. */
export function nextFailing(outline: Outline, before: Int32Array, place: number, step: 1 | -1): number {
  for (let at = place + step; at >= 0 && at < outline.order.length; at += step) {
    if (before[at + 1]! > before[at]!) return outline.order[at]!;
  }
  return -1;
}
