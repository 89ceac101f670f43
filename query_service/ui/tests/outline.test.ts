import { describe, expect, it } from "vitest";
import { outline } from "../src/waterfall/tree";
import { tree, type Written } from "./trees";

describe("outline", () => {
  it("walks children right behind their parent, in the order of rows", () => {
    const made = outline(tree([-1, "a"], [-1, "b"], [0, "c"], [2, "d"], [0, "e"]));
    expect([...made.order]).toEqual([0, 2, 3, 4, 1]);
    expect([...made.depth]).toEqual([0, 0, 1, 2, 1]);
    expect([...made.end]).toEqual([4, 5, 3, 3, 4]);
    expect([...made.placeOf]).toEqual([0, 4, 1, 2, 3]);
  });

  it("takes a child that stands before its parent", () => {
    expect([...outline(tree([1, "child"], [-1, "parent"])).order]).toEqual([1, 0]);
  });

  it("shows every step of a circle of parents once", () => {
    const made = outline(tree([1, "a"], [0, "b"], [-1, "c"], [3, "self"]));
    expect([...made.order].sort()).toEqual([0, 1, 2, 3]);
  });

  it("has nothing to walk in an empty run", () => {
    expect([...outline(tree()).order]).toEqual([]);
  });

  it("walks a chain as deep as the run is long", () => {
    const rows = Array.from({ length: 50_000 }, (_, row): Written => [row - 1, "again"]);
    const made = outline(tree(...rows));
    expect(made.depth[49_999]).toBe(49_999);
    expect(made.end[0]).toBe(50_000);
  });

  it("groups repeats beside each other, and only from four on", () => {
    const made = outline(
      tree([-1, "a"], [0, "x"], [0, "x"], [0, "x"], [0, "x"], [0, "y"], [0, "x"], [0, "x"], [0, "x"]),
    );
    expect(made.groups).toHaveLength(1);
    expect(made.groups[0]).toMatchObject({ from: 1, to: 5, members: 4, startUs: 10, endUs: 45 });
    expect([...made.groupOf]).toEqual([-1, 0, 0, 0, 0, -1, -1, -1, -1]);
    expect(made.groupAt[1]).toBe(0);
  });

  it("takes what is inside the repeats into the group", () => {
    const made = outline(tree([-1, "x"], [-1, "x"], [-1, "x"], [-1, "x"], [3, "inside"]));
    expect(made.groups[0]).toMatchObject({ from: 0, to: 5, members: 4 });
  });
});
