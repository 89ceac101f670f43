import { describe, expect, it } from "vitest";
import type { Run, Tree } from "../src/api/types";
import { microseconds, runTree } from "../src/waterfall/load";
import { agentOf, outline } from "../src/waterfall/tree";
import { WaterfallView } from "../src/waterfall/view";
import { tree, type Written } from "./trees";

const KEPT = { step: null, squeeze: false };
const START = "2026-01-31T12:00:00.000250Z";

const run = (agent_id: string, started_at: string, more: Partial<Run> = {}): Run =>
  ({
    agent_id,
    run_id: agent_id,
    started_at,
    latency_ms: 1,
    status: "success",
    truncated: false,
    ...more,
  }) as Run;

/** A run `a, delegate, c`, in whose `delegate` an agent began, which did `x` and started another one in no known step. */
function nested(): Tree {
  const { steps, failures, strings } = tree(
    [-1, "a", 0],
    [-1, "delegate", 100, 500],
    [-1, "c", 700],
    [-1, "x", 150, 10, true],
    [-1, "y", 400],
  );
  return {
    runs: [
      run("top", START, { truncated: true }),
      run("inner", "2026-01-31T12:00:00.000390Z"),
      run("deep", "2026-01-31T12:00:00.000600Z"),
    ],
    runs_parent: [-1, 0, 1],
    runs_step: [-1, 1, -1],
    strings,
    kinds: ["plan", "retrieve", "tool", "respond", "other"],
    steps: { ...steps, run: [0, 0, 0, 1, 2] },
    failures: {
      ...failures,
      id: ["whole", "x", "a"],
      run: [2, 1, 0],
      step: [-1, 3, 0],
      type: [0, 0, 0],
      code: [0, 0, 0],
      outcome: [0, 0, 0],
      caused_by: [-1, -1, -1],
      root: [0, 1, 0],
      fingerprint: [-1, -1, -1],
      rule: [0, 0, 0],
      at_us: [0, 0, 0],
    },
    steps_total: 5,
    truncated_diagnosis: true,
    runs_more: false,
    steps_more: false,
    failures_more: false,
  };
}

describe("agents inside", () => {
  it("stand where they were started, by time, with their steps below", () => {
    const made = runTree(nested());
    const { order, depth } = outline(made);
    const names = [...order].map((row) => made.strings[made.steps.name[row]!]);
    expect(names).toEqual(["a", "delegate", "inner", "x", "deep", "y", "c"]);
    expect([...order].map((row) => depth[row])).toEqual([0, 0, 1, 2, 2, 3, 0]);
    expect([...order].map((row) => agentOf(made, row))).toEqual([0, 0, 1, 0, 2, 0, 0]);
    expect(made.steps.start_us[5]).toBe(140);
  });

  it("carry what failed in them as a whole, and each is judged as far as its own diagnosis went", () => {
    const { marks } = new WaterfallView(runTree(nested()), 1_000, KEPT);
    expect(marks.byStep).toEqual(["unjudged", "none", "none", "root", "none", "none", "failed"]);
    expect(marks.roots).toEqual([3]);
  });

  it("change nothing of a run without any", () => {
    const alone = { ...nested(), runs: [run("top", START)], runs_parent: [-1], runs_step: [-1] };
    expect(runTree({ ...alone, steps: { ...alone.steps, run: [0, 0, 0, 0, 0] } }).steps.id).toHaveLength(5);
  });

  it("began at a time that is exact to the microsecond", () => {
    expect(microseconds("2026-01-31T12:00:00.00025Z") - microseconds("2026-01-31T12:00:00Z")).toBe(250);
  });
});

describe("a run of 100,000 steps", () => {
  const FAILING = 20;
  const rows = Array.from({ length: 100_000 }, (_, row): Written => {
    const parent = row % 10 ? row - (row % 10) : -1;
    return [parent, `s${row % 7}`, row * 10, 8, row % FAILING === 3];
  });
  const view = new WaterfallView(tree(...rows), 1_000_000, KEPT);

  it("has every failing step in reach of n, once each, and of p on the way back", () => {
    const visit = (step: 1 | -1): number[] => {
      const seen: number[] = [];
      for (let before: number | null = null; ; before = view.chosen.value) {
        view.failure(step);
        if (view.chosen.value === before || view.chosen.value === null) return seen;
        seen.push(view.chosen.value);
      }
    };
    const there = visit(1);
    expect(there).toHaveLength(rows.length / FAILING);
    expect(new Set(there).size).toBe(there.length);
    expect(visit(-1)).toEqual(there.toReversed().slice(1));
  });

  it("has every part of it in reach of a click on the map", () => {
    for (const share of [0, 0.25, 0.5, 0.999]) {
      view.chooseNear(share, share);
      expect(Math.abs(view.chosen.value! - share * rows.length)).toBeLessThanOrEqual(100);
    }
  });

  it("gives the step that was at work where the map was clicked", () => {
    view.chooseNear(0.5, view.scale.value.place(520_000));
    expect(view.tree.steps.start_us[view.chosen.value!]! / 1_000_000).toBeCloseTo(0.515, 3);
  });
});
