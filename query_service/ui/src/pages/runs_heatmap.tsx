/** Runs by when they began and how long they took. What is dragged over, or clicked, becomes the filter of the list. */
import { useSignal } from "@preact/signals";
import { address } from "../api/client";
import type { Heatmap } from "../api/types";
import { useAnswer } from "../api/use";
import { count, duration, percent, time } from "../format";
import { bucketMs } from "../parts/buckets";
import { token, useCanvas } from "../parts/canvas";
import { Shown } from "../parts/parts";
import { param, setParams } from "../state/url";
import { iso, zoneName, type TimeWindow } from "../state/window";
import { boundsOf, cellAt, filledCells, strength, type Cell } from "./heatmap_layout";

const ROW_PX = 14;

export function RunsHeatmap({ window }: { window: TimeWindow }) {
  const answer = useAnswer<Heatmap>(
    address("/v1/heatmap", {
      since: window.since,
      until: window.until,
      zone: zoneName.value,
      agent_id: param("agent_id"),
      agent_version: param("agent_version"),
    }),
  );
  return (
    <Shown answer={answer} rows={4}>
      {(map) => (map.latency_ms.length ? <Picture key={answer.of} map={map} /> : null)}
    </Shown>
  );
}

const choose = (map: Heatmap, one: Cell, other: Cell): void => {
  const { since, until, lowMs, highMs } = boundsOf(map, bucketMs(map.bucket), one, other);
  setParams({
    since: iso(since),
    until: iso(until),
    range: null,
    min_latency_ms: lowMs > 0 ? String(lowMs) : null,
    // The parameter includes its value, the range does not include its end.
    max_latency_ms: String(highMs - 0.001),
    cursor: null,
  });
};

function Picture({ map }: { map: Heatmap }) {
  const { times, latency_ms: ranges, cells, failed } = map;
  const pointed = useSignal<Cell | null>(null);
  const from = useSignal<Cell | null>(null);
  const canvas = useCanvas((context, width, height) => {
    const most = Math.max(...cells.map((row) => Math.max(...row)), 1);
    const [accent, bad, line] = [token("--accent"), token("--bad"), token("--line-strong")];
    const [wide, high] = [width / times.length, height / ranges.length];
    context.clearRect(0, 0, width, height);
    for (const { row, column, count: runs, failed: failing } of filledCells(map)) {
      const [x, y] = [column * wide, height - (row + 1) * high];
      context.globalAlpha = strength(runs, most);
      context.fillStyle = accent;
      context.fillRect(x, y, Math.max(wide - 0.5, 1), high - 1);
      if (failing > 0) {
        // As wide as their share: how many failed is read off without telling two colours apart.
        context.globalAlpha = 1;
        context.fillStyle = bad;
        context.fillRect(x, y + high - 4, Math.max((wide - 0.5) * (failing / runs), 1), 3);
      }
    }
    context.globalAlpha = 1;
    const [one, other] = [from.value, pointed.value];
    if (other) {
      const start = one ?? other;
      const [left, right] = [Math.min(start.column, other.column), Math.max(start.column, other.column)];
      const [low, top] = [Math.min(start.row, other.row), Math.max(start.row, other.row)];
      context.strokeStyle = line;
      context.strokeRect(
        left * wide + 0.5,
        height - (top + 1) * high + 0.5,
        Math.max((right - left + 1) * wide - 1, 1),
        (top - low + 1) * high - 1,
      );
    }
    return undefined;
  }, map);
  const at = (event: PointerEvent): Cell => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return cellAt(
      (event.clientX - box.left) / box.width,
      (event.clientY - box.top) / box.height,
      ranges.length,
      times.length,
    );
  };
  const here = pointed.value;
  const all = cells.flat().reduce((sum, value) => sum + value, 0);
  const bad = failed.flat().reduce((sum, value) => sum + value, 0);
  return (
    <figure class="chart heatmap">
      <figcaption class="chart-head">
        <span class="chart-title">Latency over time</span>
        <span class="chart-total">
          {count(all)} runs that are over, {count(bad)} failed
          {param("agent_id") !== null && ", of the chosen agent"}
        </span>
        <span class="legend">
          <span class="legend-item">
            <span class="swatch fill-accent" aria-hidden="true" />
            stronger: more runs
          </span>
          <span class="legend-item">
            <span class="swatch fill-bad" aria-hidden="true" />
            line below: share that failed
          </span>
        </span>
      </figcaption>
      <div class="heatmap-body">
        <div class="heatmap-axis" aria-hidden="true">
          {axisOf(ranges).map((ms) => (
            <span key={ms}>{duration(ms)}</span>
          ))}
        </div>
        <canvas
          ref={canvas}
          style={{ height: `${Math.max(ranges.length, 4) * ROW_PX}px` }}
          role="img"
          aria-label={`Latency over time: ${count(all)} runs, from ${duration(ranges[0]!.low)} to ${duration(ranges[ranges.length - 1]!.high)}`}
          onPointerDown={(event) => (from.value = at(event))}
          onPointerMove={(event) => (pointed.value = at(event))}
          onPointerLeave={() => (pointed.value = from.value = null)}
          onPointerUp={(event) => {
            const start = from.value;
            from.value = null;
            if (start) choose(map, start, at(event));
          }}
        />
        <div class="heatmap-times" aria-hidden="true">
          <span>{time(map.window.since)}</span>
          <span>{time(map.window.until)}</span>
        </div>
      </div>
      <p class="chart-said" aria-hidden="true">
        {here
          ? `${time(times[here.column] ?? null)} · ${duration(ranges[here.row]!.low)} to ${duration(ranges[here.row]!.high)} · ${count(cells[here.row]![here.column])} runs, ${count(failed[here.row]![here.column])} failed`
          : "Drag, or click a cell: the list then shows those runs, and explain says what they share."}
      </p>
      <CellTable map={map} />
    </figure>
  );
}

/** Bounds of rows from the top: both ends, and those between at even steps. */
const axisOf = (ranges: Heatmap["latency_ms"]): number[] => {
  const parts = Math.min(ranges.length, 4);
  return Array.from({ length: parts + 1 }, (_, at) => {
    const row = Math.round(((parts - at) * ranges.length) / parts);
    return ranges[row]?.low ?? ranges[ranges.length - 1]!.high;
  });
};

/** The same as rows, with a link to what each click would choose. It is made when it is opened: there can be a thousand. */
function CellTable({ map }: { map: Heatmap }) {
  const open = useSignal(false);
  return (
    <details class="as-table" onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>as a table</summary>
      {open.value && (
        <div class="table-frame" tabIndex={0} role="region" aria-label="Latency over time, figures">
          <table>
            <caption class="visually-hidden">Runs by start and latency</caption>
            <thead>
              <tr>
                <th scope="col">from</th>
                <th scope="col">took</th>
                <th scope="col" class="num">
                  runs
                </th>
                <th scope="col" class="num">
                  failed
                </th>
                <th scope="col">list</th>
              </tr>
            </thead>
            <tbody>
              {filledCells(map).map((cell) => (
                <tr key={`${cell.row} ${cell.column}`}>
                  <td class="tight">{time(map.times[cell.column] ?? null)}</td>
                  <td class="tight">
                    {duration(map.latency_ms[cell.row]!.low)} to {duration(map.latency_ms[cell.row]!.high)}
                  </td>
                  <td class="num">{count(cell.count)}</td>
                  <td class="num">
                    {count(cell.failed)} <span class="note">{percent(cell.failed / cell.count)}</span>
                  </td>
                  <td>
                    <button type="button" class="link" onClick={() => choose(map, cell, cell)}>
                      show these
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
