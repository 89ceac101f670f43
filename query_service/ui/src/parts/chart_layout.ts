/** The arithmetic of charts, apart from how they are drawn. */

export type Tone = "accent" | "ok" | "bad" | "warn" | "run" | "gone" | "muted";

export interface Series {
  name: string;
  values: (number | null)[];
  tone: Tone;
}

/** The top of each series in each bucket: on top of those before it, or from 0; and the highest of all. */
export function stacked(series: Series[], onTop: boolean): { tops: number[][]; highest: number } {
  const tops: number[][] = [];
  let highest = 0;
  series.forEach((one, at) => {
    tops.push(
      one.values.map((value, bucket) => (value ?? 0) + (onTop && at > 0 ? tops[at - 1]![bucket]! : 0)),
    );
    for (const top of tops[at]!) highest = Math.max(highest, top);
  });
  return { tops, highest };
}

export interface Interval {
  difference: number;
  low: number;
  high: number;
}

const Z = 1.959963984540054;

/** Wilson's interval of a share, at 95 %. */
export function wilson(hits: number, of: number): { low: number; high: number } {
  if (of === 0) return { low: 0, high: 1 };
  const share = hits / of;
  const centre = share + (Z * Z) / (2 * of);
  const spread = Z * Math.sqrt((share * (1 - share)) / of + (Z * Z) / (4 * of * of));
  const scale = 1 + (Z * Z) / of;
  return { low: Math.max(0, (centre - spread) / scale), high: Math.min(1, (centre + spread) / scale) };
}

/** Newcombe's interval of the difference of two shares (his method 10): after less before. */
export function shareDifference(
  before: { hits: number; of: number },
  after: { hits: number; of: number },
): Interval {
  const [p1, p2] = [before.hits / before.of, after.hits / after.of];
  const [w1, w2] = [wilson(before.hits, before.of), wilson(after.hits, after.of)];
  return {
    difference: p2 - p1,
    low: p2 - p1 - Math.hypot(p2 - w2.low, w1.high - p1),
    high: p2 - p1 + Math.hypot(w2.high - p2, p1 - w1.low),
  };
}
