/** Runs for tests, written as `[parent row, name, start, duration]`. */
import type { Run } from "../src/api/types";
import type { RunTree } from "../src/waterfall/tree";

export type Written = [parent: number, name: string, start?: number, duration?: number, error?: boolean];

export function tree(...rows: Written[]): RunTree {
  const strings = [...new Set(rows.map(([, name]) => name))];
  return {
    runs: [{ truncated: false } as Run],
    agentsFrom: rows.length,
    strings,
    kinds: ["plan", "retrieve", "tool", "respond", "other"],
    steps: {
      id: rows.map((_, row) => `s${row}`),
      run: rows.map(() => 0),
      parent: rows.map(([parent]) => parent),
      kind: rows.map(() => 2),
      name: rows.map(([, name]) => strings.indexOf(name)),
      error: rows.map((row) => (row[4] ? 1 : 0)),
      attempt: rows.map(() => 1),
      start_us: rows.map(([, , start], row) => start ?? row * 10),
      duration_us: rows.map((row) => row[3] ?? 5),
      error_class: rows.map(() => -1),
      error_code: rows.map(() => -1),
      http_status: rows.map(() => null),
      model: rows.map(() => -1),
      cause: rows.map(() => -1),
    },
    failures: {
      id: [],
      run: [],
      step: [],
      type: [],
      code: [],
      outcome: [],
      caused_by: [],
      root: [],
      fingerprint: [],
      rule: [],
      at_us: [],
    },
  };
}
