/** Addresses of pages that are linked to from several others. */
import { pageHref, type Changes } from "../state/url";

/** A name may hold a slash. */
export const agentHref = (agent: string, changes: Changes = {}): string =>
  pageHref(`/agents/${encodeURIComponent(agent)}`, changes);

interface Cohort {
  agent: string;
  version: string;
}

/** B beside A: what changed from A to B. */
export const compareHref = (a: Cohort, b: Cohort): string =>
  pageHref("/compare", {
    a_agent_id: a.agent,
    a_agent_version: a.version,
    b_agent_id: b.agent,
    b_agent_version: b.version,
  });

/** One run beside another; without the other, the page offers some. */
export const runsCompareHref = (a: string, b: string | null): string => pageHref("/compare", { a, b });

export const sessionHref = (session: string): string => pageHref(`/sessions/${session}`);
