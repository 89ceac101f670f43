import { describe, expect, it } from "vitest";
import { duration, percent, short } from "../src/format";
import { graphOf } from "../src/pages/graph_layout";
import { shareDifference, stacked, wilson } from "../src/parts/chart_layout";
import { tree, type Written } from "./trees";

describe("charts", () => {
  it("stack bars on those before them", () => {
    const series = [
      { name: "a", tone: "ok" as const, values: [1, null] },
      { name: "b", tone: "bad" as const, values: [2, 3] },
    ];
    expect(stacked(series, true)).toEqual({
      tops: [
        [1, 0],
        [3, 3],
      ],
      highest: 3,
    });
    expect(stacked(series, false).tops[1]).toEqual([2, 3]);
  });
});

describe("intervals", () => {
  it("are Wilson's and Newcombe's: 56/70 and 48/80 of Newcombe (1998), example a", () => {
    const { low, high } = wilson(56, 70);
    expect([low, high].map((value) => value.toFixed(4))).toEqual(["0.6918", "0.8770"]);
    const found = shareDifference({ hits: 48, of: 80 }, { hits: 56, of: 70 });
    expect([found.low, found.high].map((value) => value.toFixed(4))).toEqual(["0.0524", "0.3339"]);
  });
});

describe("graph", () => {
  it("adds steps up by their path of names", () => {
    const graph = graphOf(tree([-1, "a"], [0, "x"], [0, "x"], [1, "y", 0, 1, true]), "agent");
    expect(graph.nodes.map(({ name, steps, failing }) => [name, steps, failing])).toEqual([
      ["agent", 0, 0],
      ["a", 1, 0],
      ["x", 2, 0],
      ["y", 1, 1],
    ]);
  });

  it("stays small, and says what it left out", () => {
    const rows = Array.from({ length: 1_000 }, (_, row): Written => [-1, `name-${row}`]);
    const graph = graphOf(tree(...rows), "agent");
    expect(graph.nodes).toHaveLength(200);
    expect(graph.more).toBe(801);
  });
});

describe("words", () => {
  it("give numbers their units", () => {
    expect([0.25, 3.14159, 250, 1500, 12_345, 65_000, 3_700_000].map(duration)).toEqual([
      "250 µs",
      "3.1 ms",
      "250 ms",
      "1.50 s",
      "12.3 s",
      "1 min 5 s",
      "1 h 2 min",
    ]);
    expect([0, 0.0004, 0.052, 0.5, 1].map(percent)).toEqual(["0 %", "<0.1 %", "5.2 %", "50 %", "100 %"]);
    expect([12, 9_999, 12_345, 2_500_000].map(short)).toEqual(["12", "9,999", "12k", "2.5M"]);
  });
});
