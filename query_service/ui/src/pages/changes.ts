/** The newest version of each agent beside the one before it. Pure. */
import type { Agents, Version } from "../api/types";
import { shareDifference, type Interval } from "../parts/chart_layout";

export interface Change {
  agent: string;
  before: Version;
  after: Version;
  rate: Interval;
  /** Beyond chance: the interval of the difference does not hold 0. */
  verdict: "worse" | "better" | "same";
}

export function changesOf({ agents }: Agents): Change[] {
  return agents.flatMap(({ agent_id, versions }) => {
    const [after, before] = [...versions].filter((version) => over(version) > 0).sort(newestFirst);
    if (!after || !before) return [];
    const rate = shareDifference(
      { hits: bad(before), of: over(before) },
      { hits: bad(after), of: over(after) },
    );
    const verdict = rate.low > 0 ? "worse" : rate.high < 0 ? "better" : "same";
    return [{ agent: agent_id, before, after, rate, verdict }];
  });
}

const newestFirst = (a: Version, b: Version): number => b.first_seen.localeCompare(a.first_seen);
const bad = ({ by_status }: Version): number => (by_status["failure"] ?? 0) + (by_status["abandoned"] ?? 0);
const over = ({ runs, by_status }: Version): number => runs - (by_status["running"] ?? 0);
