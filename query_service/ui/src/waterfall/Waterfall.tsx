/** The run as a tree beside a time axis. Only the rows in view are in the document, and a screen reader hears a tree grid. */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { RunStatus } from "../api/types";
import { count, duration } from "../format";
import { MARK_SIGNS, MARK_WORDS } from "./marks";
import { FailureRail, Minimap } from "./maps";
import { Status } from "../parts/parts";
import { groupOfEntry } from "./rows";
import { ticks } from "./scale";
import { agentOf } from "./tree";
import type { WaterfallView } from "./view";
import { centred, mounted, ROW_PX, scrolledTo } from "./window";

export function Waterfall({ view, label }: { view: WaterfallView; label: string }) {
  const body = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(480);
  const axis = useRef<HTMLSpanElement>(null);
  const axisPx = useSignal(600);
  // A run that is still being loaded has a new view with every page: what follows signals has to follow that too.
  const seen = useSignal(view);
  useLayoutEffect(() => {
    seen.value = view;
  }, [view, seen]);
  const range = useComputed(() => mounted(top.value, height.value, seen.value.shown.value.entries.length));
  useLayoutEffect(() => {
    const element = body.current!;
    const measure = () => {
      height.value = element.clientHeight;
      axisPx.value = axis.current!.clientWidth || axisPx.value;
    };
    const sizes = new ResizeObserver(measure);
    sizes.observe(element);
    sizes.observe(axis.current!);
    measure();
    return () => sizes.disconnect();
  }, [height, axisPx]);
  const first = useRef(true);
  useSignalEffect(() => {
    const entry = seen.value.chosen.value;
    const at = entry === null ? -1 : seen.value.shown.value.entries.indexOf(entry);
    if (at === -1 || !body.current) return;
    const to = (first.current ? centred : scrolledTo)(at, body.current.scrollTop, body.current.clientHeight);
    first.current = false;
    // After the rows are drawn: the list may just have grown.
    requestAnimationFrame(
      () => body.current && to !== body.current.scrollTop && (body.current.scrollTop = to),
    );
  });
  const { from, to } = range.value;
  const { entries } = view.shown.value;
  const chosenAt = view.chosenAt;
  const rows = [];
  for (let at = from; at < Math.min(to, entries.length); at++)
    rows.push(<Row key={entries[at]} view={view} at={at} chosen={at === chosenAt} px={axisPx.value} />);
  return (
    <div class="waterfall">
      <Minimap view={view} />
      <div class="wf-head" aria-hidden="true">
        <span class="wf-name-head">Step</span>
        <span class="wf-axis" ref={axis}>
          <Ticks view={view} px={axisPx.value} />
        </span>
      </div>
      <div class="wf-frame">
        <div
          ref={body}
          class="wf-body"
          role="treegrid"
          tabIndex={0}
          aria-label={label}
          aria-rowcount={entries.length}
          aria-readonly="true"
          aria-activedescendant={chosenAt >= from && chosenAt < to ? `wf-${chosenAt}` : undefined}
          onScroll={(event) => {
            top.value = event.currentTarget.scrollTop;
          }}
        >
          <div class="wf-space" role="presentation" style={{ height: `${entries.length * ROW_PX}px` }}>
            {rows}
          </div>
        </div>
        <FailureRail
          view={view}
          onJump={(at) => body.current && (body.current.scrollTop = at * ROW_PX - height.value / 2)}
        />
      </div>
    </div>
  );
}

/** So much room has a time in words. */
const WORDS_PX = 52;

function Ticks({ view, px }: { view: WaterfallView; px: number }) {
  const scale = view.scale.value;
  const { from, to } = view.span.value;
  const place = (us: number) => (scale.place(us) - from) / (to - from);
  const room = WORDS_PX / px;
  const shown = ticks(
    scale.timeAt(from),
    scale.timeAt(to),
    Math.min(Math.max(Math.floor(0.6 / room), 2), 6),
  ).filter((us) => place(us) >= 0 && place(us) <= 1 - room);
  const apart: number[] = [];
  for (const us of shown)
    if (!apart.length || place(us) - place(apart[apart.length - 1]!) > room) apart.push(us);
  return (
    <>
      {apart.map((us) => (
        <span key={us} class="wf-tick" style={{ left: `${place(us) * 100}%` }}>
          {us === 0 ? "0" : duration(us / 1000)}
        </span>
      ))}
      {scale.gaps.map((gap) => (
        <span
          key={gap.fromUs}
          class="wf-gap-mark"
          style={{ left: `${place(gap.fromUs) * 100}%` }}
          title={`${duration((gap.toUs - gap.fromUs) / 1000)} without a step at work`}
        >
          ≀
        </span>
      ))}
    </>
  );
}

interface RowProps {
  view: WaterfallView;
  at: number;
  chosen: boolean;
  /** How wide the axis is. */
  px: number;
}

function Row({ view, at, chosen, px }: RowProps) {
  const { entries, levels, failing } = view.shown.value;
  const entry = entries[at]!;
  const level = levels[at]!;
  const expandable = view.expandable(entry);
  const expanded = expandable && view.expanded(entry);
  const facts = entry < 0 ? groupFacts(view, entry) : stepFacts(view, entry);
  const hidden = !expanded && failing[at]! > 0 && facts.mark === "none" ? failing[at]! : 0;
  return (
    <div
      id={`wf-${at}`}
      class={`wf-row mark-${facts.mark}${chosen ? " chosen" : ""}`}
      role="row"
      aria-level={level + 1}
      aria-rowindex={at + 1}
      aria-selected={chosen}
      aria-expanded={expandable ? expanded : undefined}
      style={{ top: `${at * ROW_PX}px` }}
      onClick={() => {
        view.chosen.value = entry;
      }}
    >
      <span class="wf-name" role="gridcell" style={{ paddingLeft: `${Math.min(level, 14) * 14}px` }}>
        {expandable ? (
          <button
            type="button"
            class="wf-fold"
            tabIndex={-1}
            aria-label={expanded ? "Fold" : "Unfold"}
            onClick={(event) => {
              event.stopPropagation();
              view.toggle(entry);
            }}
          >
            {expanded ? "▾" : "▸"}
          </button>
        ) : (
          <span class="wf-fold" />
        )}
        <span class={`kind kind-${facts.kind}`} title={facts.kind}>
          <span class="visually-hidden">{facts.kind} </span>
        </span>
        <bdi class="wf-text" title={facts.name}>
          {facts.name}
        </bdi>
        {facts.times > 1 && <span class="chip">×{count(facts.times)}</span>}
        {facts.status && <Status of={facts.status} />}
        {facts.attempt > 1 && <span class="chip">try {facts.attempt}</span>}
        {facts.mark !== "none" && (
          <span class={`mark mark-${facts.mark}`} title={MARK_WORDS[facts.mark]}>
            <span aria-hidden="true">{MARK_SIGNS[facts.mark]}</span>
            <span class="mark-text">{facts.error ?? MARK_WORDS[facts.mark]}</span>
            <span class="visually-hidden">, {MARK_WORDS[facts.mark]}</span>
          </span>
        )}
        {hidden > 0 && (
          <span class="mark mark-failed" title={`${count(hidden)} failing inside`}>
            ✕ {count(hidden)}
          </span>
        )}
      </span>
      <span class="wf-bars" role="gridcell">
        <Bar view={view} px={px} {...facts} ghost={entry < 0} />
      </span>
    </div>
  );
}

interface BarProps extends Facts {
  view: WaterfallView;
  px: number;
  ghost: boolean;
}

function Bar(bar: BarProps) {
  const scale = bar.view.scale.value;
  const { from, to } = bar.view.span.value;
  const left = (scale.place(bar.startUs) - from) / (to - from);
  const right = (scale.place(bar.endUs) - from) / (to - from);
  const text = duration((bar.endUs - bar.startUs) / 1000);
  if (right < 0 || left > 1) {
    return (
      <span class={`wf-off ${left > 1 ? "off-right" : "off-left"}`}>
        {left > 1 ? `${text} →` : `← ${text}`}
      </span>
    );
  }
  const begin = Math.max(left, 0);
  const width = Math.min(right, 1) - begin;
  // Beside the bar where there is room, else inside it.
  const room = WORDS_PX / bar.px;
  const side = begin + width < 1 - room ? "after" : begin > room ? "before" : "inside";
  return (
    <>
      <span
        class={`bar kind-${bar.kind}${bar.ghost ? " ghost" : ""}`}
        style={{ left: `${begin * 100}%`, width: `max(2px, ${width * 100}%)` }}
      />
      <span
        class={`wf-time ${side}`}
        style={
          side === "after"
            ? { left: `${(begin + width) * 100}%` }
            : side === "before"
              ? { right: `${(1 - begin) * 100}%` }
              : { left: "4px" }
        }
      >
        {text}
      </span>
    </>
  );
}

interface Facts {
  kind: string;
  name: string;
  times: number;
  attempt: number;
  /** Of an agent inside, how its run stands. */
  status: RunStatus | null;
  mark: keyof typeof MARK_WORDS;
  error: string | null;
  startUs: number;
  endUs: number;
}

function stepFacts({ tree, marks }: WaterfallView, row: number): Facts {
  const agent = agentOf(tree, row);
  const { steps, strings, kinds, failures } = tree;
  const failure = marks.failuresOf.get(row)?.[0];
  const code = failure === undefined ? -1 : failures.code[failure]!;
  return {
    kind: kinds[steps.kind[row]!] ?? "other",
    name: strings[steps.name[row]!] ?? "",
    times: 1,
    attempt: steps.attempt[row]!,
    status: agent > 0 ? tree.runs[agent]!.status : null,
    mark: marks.byStep[row]!,
    error: strings[code] ?? strings[steps.error_class[row]!] ?? null,
    startUs: steps.start_us[row]!,
    endUs: steps.start_us[row]! + steps.duration_us[row]!,
  };
}

function groupFacts({ tree, outline }: WaterfallView, entry: number): Facts {
  const group = outline.groups[groupOfEntry(entry)]!;
  return {
    kind: tree.kinds[group.kind] ?? "other",
    name: tree.strings[group.name] ?? "",
    times: group.members,
    attempt: 1,
    status: null,
    mark: "none",
    error: null,
    startUs: group.startUs,
    endUs: group.endUs,
  };
}
