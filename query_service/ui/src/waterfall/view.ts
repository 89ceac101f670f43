/** The state of one waterfall on the screen: what is folded, chosen, in view. Every change of it is a method here. */
import { computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { marksOf, type Marks } from "./marks";
import {
  failingBefore,
  foldedAtDepth,
  groupEntry,
  groupOfEntry,
  nextFailing,
  revealed,
  shownRows,
  type Folding,
  type Shown,
} from "./rows";
import { makeScale, type Scale } from "./scale";
import { outline, type Outline, type RunTree } from "./tree";

export interface Span {
  from: number;
  to: number;
}

const WHOLE: Span = { from: 0, to: 1 };
const SPAN_MIN = 1e-5;
/** A click on a map of some fifty pixels is meant for what is this near. */
const NEAR = 0.03;
/** And as much of its width, since a short step is drawn wider than it is. */
const HIT = 0.005;

export class WaterfallView {
  readonly outline: Outline;
  readonly before: Int32Array;
  readonly marks: Marks;
  readonly failing: number;
  readonly folding: Signal<Folding>;
  readonly shown: ReadonlySignal<Shown>;
  readonly squeeze: Signal<boolean>;
  readonly scale: ReadonlySignal<Scale>;
  readonly span = signal<Span>(WHOLE);
  /** The chosen entry: a step's row or a group's heading. */
  readonly chosen: Signal<number | null>;
  readonly hasGaps: boolean;

  constructor(
    readonly tree: RunTree,
    runEndUs: number,
    kept: { step: string | null; squeeze: boolean },
  ) {
    this.outline = outline(tree);
    this.before = failingBefore(this.outline, tree.steps, tree.failures);
    this.marks = marksOf(tree);
    this.failing = this.before[this.before.length - 1]!;
    this.squeeze = signal(kept.squeeze);
    const gaps = makeScale(tree.steps, runEndUs, true);
    const plain = makeScale(tree.steps, runEndUs, false);
    this.hasGaps = gaps.gaps.length > 0;
    this.scale = computed(() => (this.squeeze.value ? gaps : plain));
    const row = kept.step === null ? -1 : tree.steps.id.indexOf(kept.step);
    const folding: Folding = { folded: new Set(), opened: new Set() };
    this.folding = signal(row === -1 ? folding : revealed(this.outline, folding, row));
    this.chosen = signal(row === -1 ? null : row);
    this.shown = computed(() => shownRows(this.outline, this.folding.value, this.before));
  }

  /** Keep what was folded and looked at in an earlier view of the same run, which has grown since. */
  takeOver(before: WaterfallView): void {
    const rows = new Map(this.tree.steps.id.map((id, row) => [id, row]));
    const folded = new Set<number>();
    for (const row of before.folding.value.folded) {
      const here = rows.get(before.tree.steps.id[row]!);
      if (here !== undefined) folded.add(here);
    }
    const opened = new Set(this.folding.value.opened);
    for (const group of before.folding.value.opened) {
      const here = rows.get(before.tree.steps.id[before.outline.order[before.outline.groups[group]!.from]!]!);
      if (here !== undefined && this.outline.groupOf[here] !== -1) opened.add(this.outline.groupOf[here]!);
    }
    this.folding.value = { folded, opened };
    this.span.value = before.span.value;
  }

  /** Place of the chosen entry among those shown, -1 for none. */
  get chosenAt(): number {
    return this.chosen.value === null ? -1 : this.shown.value.entries.indexOf(this.chosen.value);
  }

  expandable(entry: number): boolean {
    return entry < 0 || this.outline.end[entry]! > this.outline.placeOf[entry]! + 1;
  }

  expanded(entry: number): boolean {
    const { folded, opened } = this.folding.value;
    return entry < 0 ? opened.has(groupOfEntry(entry)) : !folded.has(entry);
  }

  toggle(entry: number): void {
    this.setExpanded(entry, !this.expanded(entry));
  }

  setExpanded(entry: number, open: boolean): void {
    const folded = new Set(this.folding.value.folded);
    const opened = new Set(this.folding.value.opened);
    if (entry < 0) opened[open ? "add" : "delete"](groupOfEntry(entry));
    else folded[open ? "delete" : "add"](entry);
    this.folding.value = { folded, opened };
  }

  move(by: number): void {
    const { entries } = this.shown.value;
    if (!entries.length) return;
    // Nothing chosen is the place before the first: one step leads to the first, the farthest to the last.
    const at = Math.min(Math.max(this.chosenAt + by, 0), entries.length - 1);
    this.chosen.value = entries[at]!;
  }

  /** Close it; if it is closed, go to what it is in. */
  left(): void {
    const entry = this.chosen.value;
    if (entry === null) {
      this.move(0);
      return;
    }
    if (this.expandable(entry) && this.expanded(entry)) {
      this.setExpanded(entry, false);
      return;
    }
    const row = entry < 0 ? this.outline.order[this.outline.groups[groupOfEntry(entry)]!.from]! : entry;
    const group = entry < 0 ? -1 : this.outline.groupOf[row]!;
    if (group !== -1) this.chosen.value = groupEntry(group);
    else if (this.outline.parent[row] !== -1) this.choose(this.outline.parent[row]!);
  }

  /** Open it; if it is open, go to the first one inside. */
  right(): void {
    const entry = this.chosen.value;
    if (entry === null) {
      this.move(0);
      return;
    }
    if (!this.expandable(entry)) return;
    if (this.expanded(entry)) this.move(1);
    else this.setExpanded(entry, true);
  }

  depth(depth: number): void {
    this.folding.value = { folded: foldedAtDepth(this.outline, depth), opened: new Set() };
    if (this.chosen.value !== null && this.chosenAt === -1)
      this.chosen.value = this.visibleAbove(this.chosen.value);
  }

  /** Choose the step that stands at a share of the walk; of those around the one that was at work at a place of the axis. */
  chooseNear(share: number, place: number): void {
    const { order } = this.outline;
    const at = Math.min(Math.floor(share * order.length), order.length - 1);
    if (at < 0) return;
    const [from, to] = [place - HIT, place + HIT].map((one) => this.scale.value.timeAt(one));
    const around = Math.ceil(order.length * NEAR);
    for (let away = 0; away <= around; away++) {
      const found = [order[at - away], order[at + away]].find(
        (row) => row !== undefined && this.worksBetween(row, from!, to!),
      );
      if (found !== undefined) {
        this.choose(found);
        return;
      }
    }
    this.choose(order[at]!);
  }

  private worksBetween(row: number, from: number, to: number): boolean {
    const { start_us, duration_us } = this.tree.steps;
    return start_us[row]! <= to && from <= start_us[row]! + duration_us[row]!;
  }

  /** Choose a step, and open whatever hides it. */
  choose(row: number): void {
    this.folding.value = revealed(this.outline, this.folding.value, row);
    this.chosen.value = row;
  }

  failure(step: 1 | -1): void {
    const row = nextFailing(this.outline, this.before, this.place(), step);
    if (row !== -1) this.choose(row);
  }

  /** Which of the failing steps is chosen, from 1; 0 if none is. */
  get failureNumber(): number {
    const entry = this.chosen.value;
    if (entry === null || entry < 0) return 0;
    const place = this.outline.placeOf[entry]!;
    return this.before[place + 1]! > this.before[place]! ? this.before[place + 1]! : 0;
  }

  /** The run's own root cause; from there those of the agents inside, one after the other. */
  rootCause(): void {
    const { roots } = this.marks;
    const next = roots[(roots.indexOf(this.chosen.value ?? -1) + 1) % roots.length];
    if (next !== undefined) this.choose(next);
  }

  zoom(span: Span): void {
    const from = Math.min(Math.max(span.from, 0), 1 - SPAN_MIN);
    this.span.value = { from, to: Math.min(Math.max(span.to, from + SPAN_MIN), 1) };
  }

  fit(): void {
    this.span.value = WHOLE;
  }

  private place(): number {
    const entry = this.chosen.value;
    if (entry === null) return -1;
    return entry < 0 ? this.outline.groups[groupOfEntry(entry)]!.from - 1 : this.outline.placeOf[entry]!;
  }

  private visibleAbove(entry: number): number | null {
    const entries = new Set(this.shown.value.entries);
    for (let row = entry < 0 ? -1 : entry; row !== -1; row = this.outline.parent[row]!) {
      const group = this.outline.groupOf[row]!;
      if (group !== -1 && entries.has(groupEntry(group))) return groupEntry(group);
      if (entries.has(row)) return row;
    }
    return null;
  }
}
