/** The frame around every page: where one is, how complete the data is, in which zone times are, who is signed in. */
import { useEffect } from "preact/hooks";
import type { ComponentChildren } from "preact";
import type { Session } from "./api/types";
import { CompleteTo } from "./parts/complete_to";
import { Empty } from "./parts/parts";
import { pageFor } from "./routes";
import { SignIn } from "./pages/SignIn";
import { session, signOut } from "./state/session";
import { pageHref, param, place, setParams } from "./state/url";

const NAV = [
  ["/", "Overview"],
  ["/runs", "Runs"],
  ["/failures", "Failures"],
  ["/agents", "Agents"],
  ["/compare", "Compare"],
  ["/sessions", "Sessions"],
  ["/trust", "Trust"],
  ["/docs", "API"],
] as const;

export function App() {
  const state = session.value;
  const page = pageFor(place.value.path);
  useEffect(() => {
    document.title = `${page.title} · AgentTracer`;
  }, [page.title]);
  if (state.kind === "in") return <Frame who={state.session}>{page.show(state.session)}</Frame>;
  return (
    <Frame>
      {state.kind === "out" && <SignIn message={state.message} />}
      {state.kind === "unreachable" && (
        <Empty title={state.message}>
          It is asked again every 2 s. <code>agenttracer status</code> says what runs.
        </Empty>
      )}
    </Frame>
  );
}

function Frame({ who, children }: { who?: Session; children: ComponentChildren }) {
  const { path } = place.value;
  return (
    <>
      <a class="skip" href="#main">
        To the content
      </a>
      <header class="top">
        <a class="brand" href={pageHref("/")}>
          <svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
            <rect width="32" height="32" rx="7" class="brand-back" />
            <path d="M6 9h14M10 16h16M10 23h9" class="brand-lines" />
          </svg>
          AgentTracer
        </a>
        <nav class="nav" aria-label="Pages">
          {who &&
            NAV.map(([to, name]) => (
              <a key={to} href={pageHref(to)} aria-current={isIn(path, to) ? "page" : undefined}>
                {name}
              </a>
            ))}
        </nav>
        <div class="top-right">
          {who && <CompleteTo />}
          <label class="zone">
            <span class="visually-hidden">Zone of times</span>
            <select
              value={param("tz") === "utc" ? "utc" : "local"}
              onChange={(event) =>
                setParams({ tz: event.currentTarget.value === "utc" ? "utc" : null }, true)
              }
            >
              <option value="local">{Intl.DateTimeFormat().resolvedOptions().timeZone || "local"}</option>
              <option value="utc">UTC</option>
            </select>
          </label>
          {who && (
            <span
              class="project"
              title={
                who.anonymous ? "A local stack shows this project without a key" : "The project of your key"
              }
            >
              <bdi>{who.project}</bdi>
            </span>
          )}
          {who?.signed_in && (
            <button type="button" class="quiet" onClick={() => void signOut()}>
              Sign out
            </button>
          )}
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

const isIn = (path: string, to: string): boolean =>
  to === "/" ? path === "/" : path === to || path.startsWith(`${to}/`);
