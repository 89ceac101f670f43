/** Whether what is shown is all there is. It is said beside every run and list, also when the answer is "not known". */
import type { Run } from "../api/types";
import { count } from "../format";

const REASONS: Record<string, string> = {
  queue_full: "queue full",
  ended: "after the end",
  network: "network",
};

export const lossReason = (reason: string): string => REASONS[reason] ?? reason;

type Completeness = Run["completeness"];

export function CompletenessBadge({ of, running }: { of: Completeness; running: boolean }) {
  if (of.state === "complete") return <span class="complete complete-all">✓ complete</span>;
  if (of.state === "lost") return <span class="complete complete-lost">▲ {count(of.lost_events)} lost</span>;
  return (
    <span class="complete complete-unknown" title="No end that counts its events has arrived">
      {running ? "… still arriving" : "? unknown"}
    </span>
  );
}

export function completenessWords({ state, lost_events, declared }: Completeness): string {
  if (state === "complete") return "Every event that was emitted is stored.";
  if (state === "unknown")
    return "Nobody has counted the events yet: the run has not ended, or its sender does not number them.";
  const reasons = Object.entries(declared).map(
    ([reason, events]) => `${count(events)} ${lossReason(reason)}`,
  );
  const said = reasons.length
    ? ` The sender says: ${reasons.join(", ")}.`
    : " The sender gave no reason: they are on their way or lost.";
  return `${count(lost_events)} events are missing.${said}`;
}
