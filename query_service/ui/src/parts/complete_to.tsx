/** Until when everything that was received is shown. It stands in the header of every page. */
import type { Runs } from "../api/types";
import { serverNow } from "../api/client";
import { useAnswer, type Answer } from "../api/use";
import { duration, time } from "../format";
import { pageHref } from "../state/url";
import { zoneName } from "../state/window";

const EVERY_MS = 10_000;
/** It follows the clock some ten seconds behind; this much behind, something does not keep up or stands still. */
export const OLD_MS = 60_000;

export interface Freshness {
  state: "fresh" | "old" | "unknown";
  at: string | null;
  behindMs: number | null;
}

export function freshnessOf(completeTo: string | null, now: number): Freshness {
  if (completeTo === null) return { state: "unknown", at: null, behindMs: null };
  const behindMs = Math.max(now - Date.parse(completeTo), 0);
  return { state: behindMs > OLD_MS ? "old" : "fresh", at: completeTo, behindMs };
}

/** Asks how fresh the store is, again and again. */
export function useFreshness(): Answer<Runs> & { freshness: Freshness | null } {
  const answer = useAnswer<Runs>("/v1/runs?limit=1", EVERY_MS);
  return { ...answer, freshness: answer.data ? freshnessOf(answer.data.complete_to, serverNow()) : null };
}

export function CompleteTo() {
  const { freshness, error } = useFreshness();
  if (error) return <span class="complete-to complete-lost">▲ no answer from the store</span>;
  if (!freshness) return null;
  return (
    <a class="complete-to" href={pageHref("/trust")} title={titleOf(freshness)}>
      <FreshnessWords of={freshness} />
    </a>
  );
}

export function FreshnessWords({ of }: { of: Freshness }) {
  if (of.state === "unknown") return <span class="complete-unknown">? complete to: unknown</span>;
  const at = time(of.at, isToday(of.at) ? "clock" : "second");
  if (of.state === "old")
    return (
      <span class="complete-lost">
        ▲ complete to {at} · {duration(of.behindMs)} behind
      </span>
    );
  return <>complete to {at}</>;
}

const isToday = (at: string | null): boolean => time(at, "day") === time(Date.now(), "day");

function titleOf({ state }: Freshness): string {
  if (state === "unknown") return "The workers have not said yet how far they are.";
  if (state === "old")
    return "The workers are behind or away: what was received after this is not shown yet.";
  return `All that was received until then is shown (${zoneName.value}).`;
}
