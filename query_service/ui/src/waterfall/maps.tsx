/** Two pictures of the whole run on canvas: the minimap over time, and the rail that shows where in the list failures are. */
import { useRef } from "preact/hooks";
import { token, useCanvas } from "../parts/canvas";
import type { WaterfallView } from "./view";

const MAP_PX = 56;
const BATCH = 20_000;
const MARK_PX = 3;

export function Minimap({ view }: { view: WaterfallView }) {
  const from = useRef<number | null>(null);
  const dragged = useRef(false);
  const canvas = useCanvas((context, width, height) => {
    const scale = view.scale.value;
    const { steps } = view.tree;
    const { order } = view.outline;
    const colours = view.tree.kinds.map((kind) => token(`--kind-${kind}`));
    const bad = token("--bad");
    const rowHeight = Math.max(1, Math.min(4, (height - 4) / Math.max(order.length, 1)));
    const slice = (begin: number) => {
      const end = Math.min(begin + BATCH, order.length);
      for (let place = begin; place < end; place++) {
        const row = order[place]!;
        const left = scale.place(steps.start_us[row]!) * width;
        const right = scale.place(steps.start_us[row]! + steps.duration_us[row]!) * width;
        const failing = view.before[place + 1]! > view.before[place]!;
        context.fillStyle = failing ? bad : (colours[steps.kind[row]!] ?? bad);
        const y = 2 + ((height - 4 - rowHeight) * place) / Math.max(order.length - 1, 1);
        context.fillRect(left, y, Math.max(1, right - left), rowHeight);
      }
      if (end < order.length) frame = requestAnimationFrame(() => slice(end));
    };
    let frame = requestAnimationFrame(() => slice(0));
    return () => cancelAnimationFrame(frame);
  }, view);
  const at = (event: PointerEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  const { from: begin, to: end } = view.span.value;
  const zoomed = begin > 0 || end < 1;
  return (
    <div
      class="wf-map"
      title="Click to go to a step, drag to zoom into a stretch of time"
      onPointerDown={(event) => {
        from.current = at(event);
        dragged.current = false;
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        if (from.current === null) return;
        const here = at(event);
        if (dragged.current || Math.abs(here - from.current) > 0.004) {
          dragged.current = true;
          view.zoom({ from: Math.min(from.current, here), to: Math.max(from.current, here) });
        }
      }}
      onPointerUp={(event) => {
        if (from.current !== null && !dragged.current) {
          const box = event.currentTarget.getBoundingClientRect();
          view.chooseNear((event.clientY - box.top) / box.height, from.current);
        }
        from.current = null;
      }}
      onDblClick={() => view.fit()}
    >
      <canvas ref={canvas} style={{ height: `${MAP_PX}px` }} aria-hidden="true" />
      {zoomed && <span class="wf-shade" style={{ left: "0", width: `${begin * 100}%` }} />}
      {zoomed && <span class="wf-shade" style={{ left: `${end * 100}%`, right: "0" }} />}
    </div>
  );
}

export function FailureRail({ view, onJump }: { view: WaterfallView; onJump: (at: number) => void }) {
  const canvas = useCanvas((context, width, height) => {
    const { failing } = view.shown.value;
    context.clearRect(0, 0, width, height);
    context.fillStyle = token("--bad");
    const marks = Math.max(Math.min(Math.floor(height / MARK_PX), failing.length), 1);
    for (let mark = 0; mark < marks; mark++) {
      const [from, to] = [mark, mark + 1].map((one) => Math.ceil((one * failing.length) / marks));
      const bad = failing.subarray(from, to).reduce((sum, one) => sum + (one > 0 ? 1 : 0), 0);
      if (!bad) continue;
      // As strong as their share of the rows that the mark stands for.
      context.globalAlpha = 0.35 + (0.65 * bad) / (to! - from!);
      context.fillRect(1, (mark * height) / marks, width - 2, MARK_PX);
    }
    context.globalAlpha = 1;
    return undefined;
  }, view);
  return (
    <canvas
      ref={canvas}
      class="wf-rail"
      aria-hidden="true"
      title="Where failures are; click to go there"
      onClick={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        onJump(Math.round(((event.clientY - box.top) / box.height) * view.shown.value.entries.length));
      }}
    />
  );
}
