/**
 * A run with the agents inside of it as columns, and its outline: the order of a depth-first walk, with repeats of one step beside each other in groups.
 *
 * Nesting comes from ids alone, never from times. Pure, and linear in the number of steps.
 */

import type { Run } from "../api/types";

/** Steps by column; a row is a step. `-1` is "none" wherever a column holds rows or places in `strings`. */
export interface StepColumns {
  id: string[];
  run: number[];
  parent: number[];
  kind: number[];
  name: number[];
  error: number[];
  attempt: number[];
  start_us: number[];
  duration_us: number[];
  error_class: number[];
  error_code: number[];
  http_status: (number | null)[];
  model: number[];
  cause: number[];
}

export interface FailureColumns {
  id: string[];
  run: number[];
  step: number[];
  type: number[];
  code: number[];
  outcome: number[];
  caused_by: number[];
  root: number[];
  fingerprint: number[];
  rule: number[];
  at_us: number[];
}

export interface RunTree {
  strings: string[];
  kinds: string[];
  steps: StepColumns;
  failures: FailureColumns;
  /** The run, then those that it started. */
  runs: readonly Run[];
  /** From this row on stand those other runs, a row each: an agent inside is shown like a step, with its steps below. */
  agentsFrom: number;
}

/** Place in `runs` of the agent that a row stands for; 0 where it is a step. */
export const agentOf = ({ agentsFrom }: Pick<RunTree, "agentsFrom">, row: number): number =>
  Math.max(row - agentsFrom + 1, 0);

/** Siblings of one kind and name that follow each other without another between. */
export interface Group {
  /** Places in the walk: of the first member, and behind the last member's last descendant. */
  from: number;
  to: number;
  members: number;
  kind: number;
  name: number;
  startUs: number;
  endUs: number;
}

export interface Outline {
  /** Row by place in the walk, and back. */
  order: Int32Array;
  placeOf: Int32Array;
  depth: Int32Array;
  /** By row: the place behind its last descendant. */
  end: Int32Array;
  groups: Group[];
  /** By place: the group that begins there, else -1. By row: the group that it is a member of, else -1. */
  groupAt: Int32Array;
  groupOf: Int32Array;
  parent: Int32Array;
}

/** From so many on, repeats are one row. */
export const REPEATS_MIN = 4;

export function outline({ steps, agentsFrom }: Pick<RunTree, "steps" | "agentsFrom">): Outline {
  const size = steps.id.length;
  const parent = soundParents(steps.parent);
  const { first, next } = children(parent, agentsFrom < size ? byStart(steps) : null);
  const order = new Int32Array(size);
  const placeOf = new Int32Array(size);
  const depth = new Int32Array(size);
  const end = new Int32Array(size);
  let place = 0;
  let row = first[size]!;
  // A walk without recursion: a chain of steps may be as deep as the run is long.
  while (row !== -1) {
    depth[row] = parent[row] === -1 ? 0 : depth[parent[row]!]! + 1;
    placeOf[row] = place;
    order[place] = row;
    place += 1;
    if (first[row] !== -1) {
      row = first[row]!;
      continue;
    }
    end[row] = place;
    while (row !== -1 && next[row] === -1) {
      row = parent[row]!;
      if (row !== -1) end[row] = place;
    }
    if (row !== -1) row = next[row]!;
  }
  return { order, placeOf, depth, end, parent, ...groupsOf(steps, { first, next, placeOf, end }) };
}

/** Parents without circles: hostile ids could make some, and what is in one would never be shown. */
function soundParents(given: ArrayLike<number>): Int32Array {
  const parent = Int32Array.from(given);
  const seen = new Int32Array(parent.length).fill(-1);
  for (let row = 0; row < parent.length; row++) {
    let at = row;
    while (at !== -1 && seen[at] === -1) {
      seen[at] = row;
      const above = parent[at]!;
      if (above !== -1 && seen[above] === row) parent[at] = -1;
      at = parent[at]!;
    }
  }
  return parent;
}

interface Children {
  /** First child by row; that of row `size` is the first root. */
  first: Int32Array;
  next: Int32Array;
}

/** Rows by when they began. Those of one run stand so already, but its agents stand behind all steps. */
const byStart = ({ start_us }: StepColumns): Int32Array =>
  Int32Array.from(start_us.keys()).sort((one, other) => start_us[one]! - start_us[other]! || one - other);

function children(parent: Int32Array, order: Int32Array | null): Children {
  const size = parent.length;
  const first = new Int32Array(size + 1).fill(-1);
  const last = new Int32Array(size + 1).fill(-1);
  const next = new Int32Array(size).fill(-1);
  for (let at = 0; at < size; at++) {
    const row = order ? order[at]! : at;
    const above = parent[row] === -1 ? size : parent[row]!;
    if (first[above] === -1) first[above] = row;
    else next[last[above]!] = row;
    last[above] = row;
  }
  return { first, next };
}

function groupsOf(
  steps: StepColumns,
  { first, next, placeOf, end }: Children & { placeOf: Int32Array; end: Int32Array },
): Pick<Outline, "groups" | "groupAt" | "groupOf"> {
  const size = steps.id.length;
  const groups: Group[] = [];
  const groupAt = new Int32Array(size).fill(-1);
  const groupOf = new Int32Array(size).fill(-1);
  for (let above = 0; above <= size; above++) {
    let from = first[above]!;
    while (from !== -1) {
      let members = 0;
      let last = from;
      let endUs = 0;
      for (let row = from; row !== -1 && alike(steps, from, row); row = next[row]!) {
        members += 1;
        last = row;
        endUs = Math.max(endUs, steps.start_us[row]! + steps.duration_us[row]!);
      }
      if (members >= REPEATS_MIN) {
        groupAt[placeOf[from]!] = groups.length;
        for (let row = from; row !== next[last]; row = next[row]!) groupOf[row] = groups.length;
        groups.push({
          from: placeOf[from]!,
          to: end[last]!,
          members,
          kind: steps.kind[from]!,
          name: steps.name[from]!,
          startUs: steps.start_us[from]!,
          endUs,
        });
      }
      from = next[last]!;
    }
  }
  return { groups, groupAt, groupOf };
}

const alike = (steps: StepColumns, a: number, b: number): boolean =>
  steps.kind[a] === steps.kind[b] && steps.name[a] === steps.name[b];
