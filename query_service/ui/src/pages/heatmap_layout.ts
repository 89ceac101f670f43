/** The arithmetic of the heatmap, apart from how it is drawn. Row 0 is the shortest latency, at the bottom. */
import type { Heatmap } from "../api/types";

export interface Cell {
  row: number;
  column: number;
}

/** The cell at a place, given as shares of the width and of the height from above. */
export function cellAt(x: number, y: number, rows: number, columns: number): Cell {
  const bound = (value: number, most: number) => Math.min(Math.max(Math.floor(value), 0), most - 1);
  return { row: rows - 1 - bound(y * rows, rows), column: bound(x * columns, columns) };
}

/** How strong a cell is drawn, 0 to 1. By the square root, so that one run beside a thousand is still seen. */
export const strength = (count: number, most: number): number =>
  count === 0 ? 0 : 0.15 + 0.85 * Math.sqrt(count / Math.max(most, 1));

export interface Bounds {
  since: number;
  until: number;
  lowMs: number;
  highMs: number;
}

/** The stretch of time and latency that two cells span. */
export function boundsOf(map: Heatmap, bucketMs: number, one: Cell, other: Cell): Bounds {
  const times = [one.column, other.column].map((column) => Date.parse(map.times[column]!));
  const ranges = [one.row, other.row].map((row) => map.latency_ms[row]!);
  return {
    since: Math.min(...times),
    until: Math.max(...times) + bucketMs,
    lowMs: Math.min(...ranges.map(({ low }) => low)),
    highMs: Math.max(...ranges.map(({ high }) => high)),
  };
}

export interface Filled extends Cell {
  count: number;
  failed: number;
}

/** The cells that hold something, by time, then from short to long. */
export function filledCells({ times, cells, failed }: Heatmap): Filled[] {
  return times.flatMap((_, column) =>
    cells.flatMap((counts, row) =>
      counts[column] ? [{ row, column, count: counts[column], failed: failed[row]![column]! }] : [],
    ),
  );
}
