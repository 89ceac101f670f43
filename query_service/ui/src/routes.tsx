/** The one table of pages: an address, what its tab says, and what is shown. */
import type { VNode } from "preact";
import type { Session } from "./api/types";
import { AgentPage, AgentsPage } from "./pages/Agents";
import { ComparePage } from "./pages/Compare";
import { Docs } from "./pages/Docs";
import { FailuresPage } from "./pages/Failures";
import { FailurePage } from "./pages/Failure";
import { NotFound } from "./pages/NotFound";
import { Overview } from "./pages/Overview";
import { RunPage } from "./pages/Run";
import { RunsPage } from "./pages/Runs";
import { SessionPage, SessionsPage } from "./pages/Sessions";
import { TrustPage } from "./pages/Trust";

export interface Page {
  title: string;
  show: (session: Session) => VNode;
}

interface Route {
  pattern: RegExp;
  page: (captured: string) => Page;
}

const ROUTES: Route[] = [
  { pattern: /^\/$/, page: () => ({ title: "Overview", show: (session) => <Overview session={session} /> }) },
  { pattern: /^\/runs$/, page: () => ({ title: "Runs", show: () => <RunsPage /> }) },
  {
    pattern: /^\/runs\/([0-9a-f-]{36})$/,
    page: (id) => ({ title: `Run ${id.slice(0, 8)}`, show: () => <RunPage key={id} id={id} /> }),
  },
  { pattern: /^\/failures$/, page: () => ({ title: "Failures", show: () => <FailuresPage /> }) },
  {
    pattern: /^\/failures\/([0-9a-f]{16})$/,
    page: (id) => ({ title: `Failure ${id}`, show: () => <FailurePage fingerprint={id} /> }),
  },
  { pattern: /^\/agents$/, page: () => ({ title: "Agents", show: () => <AgentsPage /> }) },
  {
    pattern: /^\/agents\/(.+)$/,
    page: (agent) => ({ title: agent, show: () => <AgentPage key={agent} agent={agent} /> }),
  },
  { pattern: /^\/compare$/, page: () => ({ title: "Compare", show: () => <ComparePage /> }) },
  { pattern: /^\/sessions$/, page: () => ({ title: "Sessions", show: () => <SessionsPage /> }) },
  {
    pattern: /^\/sessions\/([0-9a-f]{32})$/,
    page: (id) => ({ title: `Session ${id.slice(0, 8)}`, show: () => <SessionPage key={id} id={id} /> }),
  },
  { pattern: /^\/trust$/, page: () => ({ title: "Trust", show: () => <TrustPage /> }) },
  { pattern: /^\/docs$/, page: () => ({ title: "API", show: () => <Docs /> }) },
];

export function pageFor(path: string): Page {
  for (const { pattern, page } of ROUTES) {
    const found = pattern.exec(path);
    const captured = found && decoded(found[1] ?? "");
    if (captured !== null) return page(captured);
  }
  return { title: "Not found", show: () => <NotFound /> };
}

/** Null for what no page wrote: an address may be typed by anybody. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
