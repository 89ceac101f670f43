import { describe, expect, it } from "vitest";
import { makeScale, ticks } from "../src/waterfall/scale";
import { tree } from "./trees";

describe("scale", () => {
  const idle = tree([-1, "whole", 0, 1_000], [0, "a", 0, 100], [0, "b", 900, 100]).steps;

  it("is even without squeezing", () => {
    const scale = makeScale(idle, 1_000, false);
    expect(scale.gaps).toEqual([]);
    expect(scale.place(500)).toBeCloseTo(0.5);
    expect(scale.timeAt(0.25)).toBeCloseTo(250);
  });

  it("squeezes what no step inside works in, although the one around it lasts", () => {
    const scale = makeScale(idle, 1_000, true);
    expect(scale.gaps).toEqual([{ fromUs: 100, toUs: 900 }]);
    expect(scale.place(100)).toBeCloseTo(0.494);
    expect(scale.place(900)).toBeCloseTo(0.506);
    expect(scale.timeAt(scale.place(950))).toBeCloseTo(950);
  });

  it("never goes back, and covers steps before the start and behind the end", () => {
    const scale = makeScale(tree([-1, "early", -50, 20], [-1, "late", 2_000, 10]).steps, 1_000, true);
    const places = [-50, 0, 500, 1_000, 2_000, 2_010].map(scale.place);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect([places[0], places[5]]).toEqual([0, 1]);
  });

  it("has round ticks", () => {
    expect(ticks(0, 100, 5)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(ticks(0, 1, 3)).toEqual([0, 0.5, 1]);
  });
});
