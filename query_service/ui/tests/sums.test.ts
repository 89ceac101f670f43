import { describe, expect, it } from "vitest";
import type { Heatmap, Measure, Run, StepStats } from "../src/api/types";
import { intervalOf, reachOf, sections, verdictOf } from "../src/pages/compare_layout";
import { boundsOf, cellAt, filledCells, strength } from "../src/pages/heatmap_layout";
import { stepRows } from "../src/pages/step_rows";
import { lossesOf } from "../src/pages/trust_sums";
import { freshnessOf, OLD_MS } from "../src/parts/complete_to";
import { pageFor } from "../src/routes";

describe("freshness", () => {
  const at = "2026-01-31T12:00:00Z";
  const now = Date.parse(at);

  it("is old when it stands still, and unknown when nobody said it", () => {
    expect(freshnessOf(at, now + OLD_MS)).toEqual({ state: "fresh", at, behindMs: OLD_MS });
    expect(freshnessOf(at, now + OLD_MS + 1).state).toBe("old");
    expect(freshnessOf(at, now - 5_000).behindMs).toBe(0);
    expect(freshnessOf(null, now).state).toBe("unknown");
  });
});

describe("addresses", () => {
  it("may hold any name of an agent, and nothing that cannot be read", () => {
    expect(pageFor("/agents/a%2Fb:c").title).toBe("a/b:c");
    expect(pageFor("/agents/%E0%A4").title).toBe("Not found");
    expect(["/agents", "/compare", "/sessions", "/trust"].map((path) => pageFor(path).title)).toEqual([
      "Agents",
      "Compare",
      "Sessions",
      "Trust",
    ]);
  });
});

const MEASURE: Measure = {
  measure: "failure_rate",
  unit: "rate",
  step: null,
  failure: null,
  a: 0.1,
  b: 0.15,
  n_a: 1000,
  n_b: 1000,
  difference: 0.05,
  low: 0.02,
  high: 0.08,
  p_value: 0.001,
  p_corrected: 0.004,
  significant: true,
};

describe("comparisons", () => {
  it("say worse only beyond chance, and nothing where nothing was tested", () => {
    expect(verdictOf(MEASURE)).toBe("worse");
    expect(verdictOf({ ...MEASURE, difference: -0.05 })).toBe("better");
    expect(verdictOf({ ...MEASURE, measure: "steps_per_run" })).toBe("differs");
    expect(verdictOf({ ...MEASURE, significant: false })).toBe("same");
    expect(verdictOf({ ...MEASURE, p_corrected: null, significant: false })).toBe("open");
  });

  it("put latencies on an axis of their own, as shares of A", () => {
    const slower: Measure = { ...MEASURE, unit: "ms", a: 200, difference: 20, low: -10, high: 50 };
    expect(intervalOf(slower)).toEqual({ at: 0.1, low: -0.05, high: 0.25 });
    expect([reachOf([MEASURE, slower], "rate"), reachOf([MEASURE, slower], "ms")]).toEqual([0.08, 0.25]);
    expect(intervalOf({ ...slower, low: null })).toBeNull();
    expect(intervalOf({ ...slower, a: 0 })).toBeNull();
  });

  it("stand by what they are about, what differs first", () => {
    const step = { kind: "tool" as const, name: "x" };
    const same: Measure = { ...MEASURE, significant: false };
    const found = sections([same, MEASURE, { ...same, step }]);
    expect(found.map(({ title, measures }) => [title, measures.map((one) => one.significant)])).toEqual([
      ["Runs", [true, false]],
      ["Steps", [false]],
    ]);
  });
});

const MAP: Heatmap = {
  of: "runs",
  bucket: "15m",
  zone: "UTC",
  window: { since: "2026-01-31T11:30:00Z", until: "2026-01-31T12:00:00Z" },
  times: ["2026-01-31T11:30:00Z", "2026-01-31T11:45:00Z"],
  latency_ms: [
    { low: 1, high: 2 },
    { low: 2, high: 4 },
  ],
  cells: [
    [60, 0],
    [10, 7],
  ],
  failed: [
    [2, 0],
    [7, 7],
  ],
};

describe("the heatmap", () => {
  it("has the shortest at the bottom, and bounds every place", () => {
    expect(cellAt(0.1, 0.1, 2, 2)).toEqual({ row: 1, column: 0 });
    expect(cellAt(0.9, 0.9, 2, 2)).toEqual({ row: 0, column: 1 });
    expect(cellAt(1, 1.2, 2, 2)).toEqual({ row: 0, column: 1 });
  });

  it("gives the filter that a drag stands for, in either direction", () => {
    const [low, high] = [
      { row: 0, column: 0 },
      { row: 1, column: 1 },
    ];
    const found = boundsOf(MAP, 900_000, low, high);
    expect(found).toEqual(boundsOf(MAP, 900_000, high, low));
    expect(found).toEqual({
      since: Date.parse("2026-01-31T11:30:00Z"),
      until: Date.parse("2026-01-31T12:00:00Z"),
      lowMs: 1,
      highMs: 4,
    });
  });

  it("shows one run beside a thousand, and lists what holds something", () => {
    expect(strength(0, 1000)).toBe(0);
    expect(strength(1, 1000)).toBeGreaterThan(0.15);
    expect(strength(1000, 1000)).toBe(1);
    expect(filledCells(MAP).map(({ count, failed }) => [count, failed])).toEqual([
      [60, 2],
      [10, 7],
      [7, 7],
    ]);
  });
});

describe("steps of an agent", () => {
  it("are sorted by what is asked, those without a figure last", () => {
    const step = (name: string, p95: number | null, errors: number): StepStats => ({
      agent_id: "a",
      agent_version: "1",
      kind: "tool",
      name,
      steps: 10,
      errors,
      error_rate: errors / 10,
      latency_ms: p95 === null ? null : { p50: 1, p95, p99: p95 },
    });
    const steps = [step("x", null, 1), step("y", 5, 0), step("z", 9, 1)];
    expect(stepRows(steps, "p95").map(({ name }) => name)).toEqual(["z", "y", "x"]);
    expect(stepRows(steps, "errors").map(({ name }) => name)).toEqual(["x", "z", "y"]);
  });
});

describe("losses", () => {
  it("are added up by reason, and none is left without one", () => {
    const run = (state: "complete" | "lost" | "unknown", lost: number, full: number) =>
      ({
        status: "success",
        completeness: {
          state,
          lost_events: lost,
          producers: [{ declared: full ? { queue_full: full } : {}, unexplained_events: lost - full }],
        },
      }) as unknown as Run;
    const found = lossesOf([
      run("complete", 0, 0),
      run("lost", 3, 2),
      run("lost", 5, 5),
      run("unknown", 0, 0),
    ]);
    expect(found.runs).toEqual({ complete: 1, lost: 2, unknown: 1 });
    expect(found.lost).toBe(8);
    expect(found.reasons).toEqual([
      ["queue_full", 7],
      ["unexplained", 1],
    ]);
    expect(found.worst.map(({ completeness }) => completeness.lost_events)).toEqual([5, 3]);
  });
});
