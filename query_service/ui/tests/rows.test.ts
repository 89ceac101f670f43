import { describe, expect, it } from "vitest";
import { WaterfallView } from "../src/waterfall/view";
import {
  failingBefore,
  foldedAtDepth,
  groupEntry,
  nextFailing,
  revealed,
  shownRows,
  type Folding,
} from "../src/waterfall/rows";
import { outline } from "../src/waterfall/tree";
import { centred, mounted, ROW_PX, scrolledTo } from "../src/waterfall/window";
import { tree, type Written } from "./trees";

const NOTHING: Folding = { folded: new Set(), opened: new Set() };

function of(...rows: Written[]) {
  const made = tree(...rows);
  const walked = outline(made);
  return { walked, before: failingBefore(walked, made.steps, made.failures) };
}

describe("shown rows", () => {
  it("shows a group as one row that counts what fails in it", () => {
    const { walked, before } = of([-1, "a"], [0, "x"], [0, "x", 1, 1, true], [0, "x"], [0, "x"], [0, "y"]);
    const shown = shownRows(walked, NOTHING, before);
    expect([...shown.entries]).toEqual([0, groupEntry(0), 5]);
    expect([...shown.levels]).toEqual([0, 1, 1]);
    expect([...shown.failing]).toEqual([0, 1, 0]);
  });

  it("shows an open group's members one level deeper, and what follows where it was", () => {
    const { walked, before } = of([-1, "a"], [0, "x"], [0, "x"], [0, "x"], [0, "x"], [4, "in"], [0, "y"]);
    const shown = shownRows(walked, { folded: new Set(), opened: new Set([0]) }, before);
    expect([...shown.entries]).toEqual([0, groupEntry(0), 1, 2, 3, 4, 5, 6]);
    expect([...shown.levels]).toEqual([0, 1, 2, 2, 2, 2, 3, 1]);
  });

  it("counts the failing steps that a folded row hides", () => {
    const { walked, before } = of([-1, "a"], [0, "b", 1, 1, true], [1, "c", 1, 1, true], [-1, "d"]);
    const shown = shownRows(walked, { folded: new Set([0]), opened: new Set() }, before);
    expect([...shown.entries]).toEqual([0, 3]);
    expect([...shown.failing]).toEqual([2, 0]);
  });

  it("folds at a depth all that have something inside", () => {
    const { walked } = of([-1, "a"], [0, "b"], [1, "c"], [0, "d"]);
    expect(foldedAtDepth(walked, 1)).toEqual(new Set([0]));
    expect(foldedAtDepth(walked, 2)).toEqual(new Set([1]));
    expect(foldedAtDepth(walked, 0)).toEqual(new Set());
  });

  it("opens whatever hides a row", () => {
    const { walked, before } = of([-1, "a"], [0, "x"], [0, "x"], [0, "x"], [0, "x"], [4, "deep", 1, 1, true]);
    const folding = revealed(walked, { folded: new Set([0, 4]), opened: new Set() }, 5);
    expect([...shownRows(walked, folding, before).entries]).toContain(5);
  });

  it("finds the next failing step both ways, and none beyond the last", () => {
    const { walked, before } = of([-1, "a"], [0, "b", 1, 1, true], [0, "c"], [0, "d", 1, 1, true]);
    expect(nextFailing(walked, before, -1, 1)).toBe(1);
    expect(nextFailing(walked, before, 1, 1)).toBe(3);
    expect(nextFailing(walked, before, 3, 1)).toBe(-1);
    expect(nextFailing(walked, before, 3, -1)).toBe(1);
  });
});

describe("mounted rows", () => {
  it("are those in view and a few around, whatever the length", () => {
    const { from, to } = mounted(50_000 * ROW_PX, 600, 100_000);
    expect(from).toBeLessThanOrEqual(50_000);
    expect(to - from).toBeLessThan(80);
    expect(mounted(0, 600, 3)).toEqual({ from: 0, to: 3 });
    expect(mounted(0, 600, 0)).toEqual({ from: 0, to: 0 });
  });

  it("are scrolled to only where they are out of view", () => {
    expect(scrolledTo(5, 0, 600)).toBe(0);
    expect(scrolledTo(100, 0, 600)).toBe(101 * ROW_PX - 600);
    expect(scrolledTo(1, 600, 600)).toBe(ROW_PX);
    expect(centred(100, 0, 600)).toBe(100 * ROW_PX - 300);
  });
});

describe("keys", () => {
  it("lead from nothing to the first row or to the last", () => {
    const view = () =>
      new WaterfallView(tree([-1, "a"], [-1, "b"], [-1, "c"]), 100, { step: null, squeeze: false });
    const after = (by: number) => {
      const one = view();
      one.move(by);
      return one.chosen.value;
    };
    expect([1, -1, Infinity, -Infinity].map(after)).toEqual([0, 0, 2, 0]);
  });
});
