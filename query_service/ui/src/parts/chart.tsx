/** Figures over time as lines or stacked bars: one form, one set of axes and colours for all pages. Drag to look closer. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { NONE, time } from "../format";
import { ticks } from "../waterfall/scale";
import { stacked, type Series } from "./chart_layout";

export interface Marker {
  at: number;
  label: string;
}

interface ChartProps {
  title: string;
  total: string;
  times: number[];
  bucketMs: number;
  series: Series[];
  kind: "lines" | "bars";
  unit: (value: number) => string;
  markers?: Marker[];
  onZoom?: (sinceMs: number, untilMs: number) => void;
}

const HEIGHT = 132;
const LEFT = 46;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 20;

export function Chart(chart: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const width = useSignal(360);
  useEffect(() => {
    const sizes = new ResizeObserver(([entry]) => {
      width.value = Math.max(entry!.contentRect.width, 160);
    });
    sizes.observe(frame.current!);
    return () => sizes.disconnect();
  }, [width]);
  const pointed = useSignal<number | null>(null);
  const dragged = useSignal<number | null>(null);
  const { times, bucketMs, series, unit } = chart;
  const begin = times[0] ?? 0;
  const end = (times[times.length - 1] ?? 0) + bucketMs;
  const inner = width.value - LEFT - RIGHT;
  const x = (at: number) => LEFT + ((at - begin) / Math.max(end - begin, 1)) * inner;
  const { tops, highest } = stacked(series, chart.kind === "bars");
  const yTicks = ticks(0, highest || 1, 3);
  const ceiling = Math.max(highest, yTicks[yTicks.length - 1] ?? 1) || 1;
  const y = (value: number) => TOP + (1 - value / ceiling) * (HEIGHT - TOP - BOTTOM);
  const bucketAt = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const place = ((event.clientX - box.left) * (width.value / box.width) - LEFT) / inner;
    return Math.min(Math.max(Math.floor(place * times.length), 0), times.length - 1);
  };
  const zoom = (from: number, to: number) =>
    chart.onZoom?.(times[Math.min(from, to)]!, times[Math.max(from, to)]! + bucketMs);
  return (
    <figure class="chart" ref={frame}>
      <figcaption class="chart-head">
        <span class="chart-title">{chart.title}</span>
        <span class="chart-total">{chart.total}</span>
        <span class="legend">
          {series.map((one) => (
            <span key={one.name} class="legend-item">
              <span class={`swatch fill-${one.tone}`} aria-hidden="true" />
              <bdi>{one.name}</bdi>
            </span>
          ))}
        </span>
      </figcaption>
      <svg
        width={width.value}
        height={HEIGHT}
        viewBox={`0 0 ${width.value} ${HEIGHT}`}
        role="img"
        aria-label={`${chart.title}: ${chart.total}`}
        onPointerMove={(event) => (pointed.value = bucketAt(event))}
        onPointerLeave={() => (pointed.value = dragged.value = null)}
        onPointerDown={(event) => (dragged.value = bucketAt(event))}
        onPointerUp={(event) => {
          const from = dragged.value;
          dragged.value = null;
          if (from !== null && bucketAt(event) !== from) zoom(from, bucketAt(event));
        }}
      >
        {yTicks.map((value) => (
          <g key={value}>
            <line class="grid" x1={LEFT} x2={width.value - RIGHT} y1={y(value)} y2={y(value)} />
            <text class="axis" x={LEFT - 6} y={y(value) + 4} text-anchor="end">
              {unit(value)}
            </text>
          </g>
        ))}
        {timeTicks(begin, end, inner).map((at) => (
          <text key={at} class="axis" x={x(at)} y={HEIGHT - 5} text-anchor="middle">
            {time(at, daysLong(begin, end) ? "day" : "minute").replace(
              /^.*, /,
              end - begin > 86_400_000 ? "$&" : "",
            )}
          </text>
        ))}
        {chart.kind === "bars"
          ? series.map((one, at) =>
              times.map((when, bucket) => {
                const top = tops[at]![bucket]!;
                const bottom = top - (one.values[bucket] ?? 0);
                if (top === bottom) return null;
                const wide = x(when + bucketMs) - x(when);
                return (
                  <rect
                    key={when}
                    class={`fill-${one.tone}`}
                    x={x(when) + Math.min(wide * 0.1, 1)}
                    y={y(top)}
                    width={Math.max(wide - Math.min(wide * 0.2, 2), 0.5)}
                    height={Math.max(y(bottom) - y(top), 0.5)}
                  />
                );
              }),
            )
          : series.map((one) => (
              <g key={one.name}>
                <path
                  class={`line stroke-${one.tone}`}
                  d={path(one.values, (bucket) => x(times[bucket]! + bucketMs / 2), y)}
                />
                {one.values.map((value, bucket) =>
                  value !== null && lonely(one.values, bucket) ? (
                    <circle
                      key={bucket}
                      class={`fill-${one.tone}`}
                      cx={x(times[bucket]! + bucketMs / 2)}
                      cy={y(value)}
                      r="2"
                    />
                  ) : null,
                )}
              </g>
            ))}
        {chart.markers
          ?.filter(({ at }) => at > begin && at < end)
          .map(({ at, label }) => (
            <g key={label} class="deploy">
              <line x1={x(at)} x2={x(at)} y1={TOP} y2={HEIGHT - BOTTOM} />
              <path d={`M${x(at)} ${TOP - 2}l4 -4h-8z`} transform={`translate(0 4)`} />
              <title>{label}</title>
            </g>
          ))}
        {dragged.value !== null && pointed.value !== null && (
          <rect
            class="selection"
            x={x(times[Math.min(dragged.value, pointed.value)]!)}
            width={
              x(times[Math.max(dragged.value, pointed.value)]! + bucketMs) -
              x(times[Math.min(dragged.value, pointed.value)]!)
            }
            y={TOP}
            height={HEIGHT - TOP - BOTTOM}
          />
        )}
        {pointed.value !== null && times[pointed.value] !== undefined && (
          <line
            class="pointer"
            x1={x(times[pointed.value]! + bucketMs / 2)}
            x2={x(times[pointed.value]! + bucketMs / 2)}
            y1={TOP}
            y2={HEIGHT - BOTTOM}
          />
        )}
      </svg>
      <p class="chart-said" aria-hidden="true">
        {pointed.value !== null && times[pointed.value] !== undefined ? (
          <>
            {time(times[pointed.value])}
            {series.map((one) => (
              <span key={one.name}>
                {" · "}
                <bdi>{one.name}</bdi>{" "}
                {one.values[pointed.value!] == null ? NONE : unit(one.values[pointed.value!]!)}
              </span>
            ))}
          </>
        ) : (
          " "
        )}
      </p>
      <details class="as-table">
        <summary>as a table</summary>
        <div class="table-frame" tabIndex={0} role="region" aria-label={`${chart.title}, figures`}>
          <table>
            <caption class="visually-hidden">{chart.title}</caption>
            <thead>
              <tr>
                <th scope="col">from</th>
                {series.map((one) => (
                  <th key={one.name} scope="col" class="num">
                    <bdi>{one.name}</bdi>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times.map((when, bucket) =>
                series.some((one) => one.values[bucket]) ? (
                  <tr key={when}>
                    <td>{time(when)}</td>
                    {series.map((one) => (
                      <td key={one.name} class="num">
                        {one.values[bucket] == null ? NONE : unit(one.values[bucket])}
                      </td>
                    ))}
                  </tr>
                ) : null,
              )}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

const lonely = (values: readonly (number | null)[], at: number): boolean =>
  (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null;

function path(
  values: readonly (number | null)[],
  x: (bucket: number) => number,
  y: (value: number) => number,
): string {
  let drawn = "";
  let pen = false;
  values.forEach((value, bucket) => {
    if (value === null) pen = false;
    else {
      drawn += `${pen ? "L" : "M"}${x(bucket).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = true;
    }
  });
  return drawn;
}

const DAY_MS = 86_400_000;
const STEPS_MS = [60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800].map(
  (s) => s * 1000,
);

/** Then its labels are days, which are shorter. */
const daysLong = (begin: number, end: number): boolean => end - begin > 2.5 * 86_400_000;

function timeTicks(begin: number, end: number, width: number): number[] {
  const most = Math.max(Math.floor(width / (daysLong(begin, end) ? 58 : 92)), 2);
  const least = daysLong(begin, end) ? DAY_MS : 0; // else a day would stand there twice
  const step = STEPS_MS.find((size) => size >= least && (end - begin) / size <= most) ?? 30 * DAY_MS;
  const found: number[] = [];
  for (let at = Math.ceil(begin / step) * step; at < end - (end - begin) * 0.04; at += step) {
    if (at > begin + (end - begin) * 0.04) found.push(at);
  }
  return found;
}
