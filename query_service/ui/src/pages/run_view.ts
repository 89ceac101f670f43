/** The waterfall as the run page has it: its state follows the tree and the address, and keys act on it. */
import { useEffect, useMemo } from "preact/hooks";
import type { Run, Tree } from "../api/types";
import { copy } from "../parts/parts";
import { param, setParams } from "../state/url";
import { runTree, tookUs } from "../waterfall/load";
import { WaterfallView } from "../waterfall/view";

/** The waterfall's state. What is folded and chosen stays when the run has grown: ids say which step is which. */
export function useView(run: Run, tree: Tree | undefined): WaterfallView | null {
  const kept = useMemo<{ view: WaterfallView | null }>(() => ({ view: null }), []);
  const view = useMemo(() => {
    if (!tree) return null;
    const before = kept.view;
    const chosen = before?.chosen.value;
    const step = chosen != null && chosen >= 0 ? before!.tree.steps.id[chosen]! : param("step");
    const made = new WaterfallView(runTree(tree), tookUs(tree.runs[0]!), {
      step,
      squeeze: before?.squeeze.value ?? param("squeeze") === "1",
    });
    if (before) made.takeOver(before);
    kept.view = made;
    return made;
  }, [tree, kept]);
  useEffect(() => {
    if (!view) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    // Late, since a held key passes many steps and browsers bound how often an address may change.
    const stop = view.chosen.subscribe((entry) => {
      clearTimeout(timer);
      const id = entry !== null && entry >= 0 ? view.tree.steps.id[entry]! : null;
      timer = setTimeout(() => {
        if (id !== param("step") && location.pathname === `/runs/${run.run_id}`)
          setParams({ step: id }, true);
      }, 150);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [view, run.run_id]);
  return view;
}

export function useKeys(
  view: WaterfallView | null,
  neighbours: { previous: string | undefined; next: string | undefined },
): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      const act = view ? actionOf(event.key, view, neighbours) : undefined;
      if (act) {
        event.preventDefault();
        act();
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [view, neighbours]);
}

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.matches("input, select, textarea") || target.isContentEditable);

function actionOf(
  key: string,
  view: WaterfallView,
  { previous, next }: { previous: string | undefined; next: string | undefined },
): (() => void) | undefined {
  if (/^[1-9]$/.test(key)) return () => view.depth(Number(key));
  const actions: Record<string, () => void> = {
    ArrowDown: () => view.move(1),
    ArrowUp: () => view.move(-1),
    PageDown: () => view.move(20),
    PageUp: () => view.move(-20),
    Home: () => view.move(-Infinity),
    End: () => view.move(Infinity),
    ArrowLeft: () => view.left(),
    ArrowRight: () => view.right(),
    n: () => view.failure(1),
    p: () => view.failure(-1),
    g: () => view.rootCause(),
    c: () => void copy(location.href),
    z: () => view.fit(),
    "0": () => view.depth(0),
    ".": () => (view.squeeze.value = !view.squeeze.value),
  };
  if (key === "j" && next) return () => follow(next);
  if (key === "k" && previous) return () => follow(previous);
  return actions[key];
}

const follow = (href: string): void => {
  const link = document.createElement("a");
  link.href = href;
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
};
