/** A figure over time, as small as a word. */

const WIDE = 96;
const HIGH = 20;

export function SparkLine({
  values,
  unit,
}: {
  values: readonly (number | null)[];
  unit: (value: number) => string;
}) {
  const known = values.filter((value) => value !== null);
  if (!known.length) return <>–</>;
  const highest = Math.max(...known, Number.MIN_VALUE);
  const points = values.flatMap((value, at) =>
    value === null
      ? []
      : [{ x: ((at + 0.5) * WIDE) / values.length, y: HIGH - 2 - (value / highest) * (HIGH - 4) }],
  );
  return (
    <svg
      class="spark"
      width={WIDE}
      height={HIGH}
      role="img"
      aria-label={`From ${unit(known[0]!)} to ${unit(known[known.length - 1]!)}, at most ${unit(highest)}`}
    >
      <line class="grid" x1="0" x2={WIDE} y1={HIGH - 0.5} y2={HIGH - 0.5} />
      {points.length === 1 ? (
        <circle class="fill-accent" cx={points[0]!.x} cy={points[0]!.y} r="2" />
      ) : (
        <polyline
          class="line stroke-accent"
          points={points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")}
        />
      )}
    </svg>
  );
}
