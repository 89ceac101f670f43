/** Runs, newest first, by filters that are all in the address. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { address } from "../api/client";
import type { Run, Runs } from "../api/types";
import { useAnswer } from "../api/use";
import { count } from "../format";
import { Empty, PageHead, Shown } from "../parts/parts";
import { anyWindow, Range } from "../parts/range";
import { hereHref, pageHref, param, place } from "../state/url";
import { iso, windowOf, type TimeWindow } from "../state/window";
import { Filters, FILTERS } from "./runs_filters";
import { RunTable } from "./run_table";
import { RunsExplain } from "./runs_explain";
import { RunsHeatmap } from "./runs_heatmap";
import { useNow } from "../state/now";

const PAGE = 50;
const TAIL_MS = 2_000;

export function RunsPage() {
  const now = useNow();
  const window = windowOf("24h", now);
  const tail = param("tail") === "1" && param("cursor") === null;
  const query: Record<string, string | number | null> = { limit: PAGE, cursor: param("cursor") };
  for (const { name } of FILTERS) query[name] = param(name);
  if (anyWindow()) {
    query["since"] = window.since;
    // An end that moves on would make another list of every page.
    query["until"] = window.range === null ? window.until : null;
  }
  const where = address("/v1/runs", query);
  const answer = useAnswer<Runs>(where, tail ? TAIL_MS : 0);
  const filtered = FILTERS.some(({ name }) => param(name) !== null) || anyWindow();
  return (
    <>
      <PageHead title="Runs" note="newest first" json={where}>
        <Range window={anyWindow() ? window : { ...window, range: "" }} />
        <a
          class={`quiet toggle${param("heatmap") === "0" ? "" : " on"}`}
          href={hereHref({ heatmap: param("heatmap") === "0" ? null : "0" })}
          aria-current={param("heatmap") === "0" ? undefined : "true"}
        >
          heatmap
        </a>
        <a
          class={`quiet toggle${param("explain") === null ? "" : " on"}`}
          href={hereHref({ explain: param("explain") === null ? "1" : null, tail: null })}
          aria-current={param("explain") === null ? undefined : "true"}
          title="What these runs share that others do not; without a filter, what failed runs share"
        >
          explain
        </a>
        <a
          class={`quiet toggle${tail ? " on" : ""}`}
          href={hereHref({ tail: tail ? null : "1", cursor: null })}
          aria-current={tail ? "true" : undefined}
        >
          {tail ? "● live" : "live"}
        </a>
        <a
          class="quiet"
          href={address("/v1/export", { ...query, limit: null, cursor: null, format: "csv" })}
          download="runs.csv"
          title="All runs of these filters, not this page alone"
        >
          CSV
        </a>
      </PageHead>
      <Filters window={window} />
      {param("heatmap") !== "0" && !tail && <RunsHeatmap window={window} />}
      {param("explain") !== null && !tail && (
        <RunsExplain
          filters={{ ...query, limit: null, cursor: null, ...(anyWindow() ? explained(window) : {}) }}
        />
      )}
      {tail && <Tail runs={answer.data?.runs ?? []} />}
      <Shown answer={answer} rows={12}>
        {({ runs, next_cursor }) =>
          runs.length ? (
            <>
              <RunTable
                runs={runs}
                from={{ list: where.slice("/v1/runs?".length) }}
                caption="Runs, newest first"
              />
              <nav class="pager" aria-label="Pages of the list">
                {param("cursor") !== null && <a href={hereHref({ cursor: null })}>« newest</a>}
                {next_cursor !== null ? (
                  <a href={hereHref({ cursor: next_cursor, tail: null })} rel="next">
                    older »
                  </a>
                ) : (
                  <span class="note">these are the oldest that match</span>
                )}
              </nav>
            </>
          ) : filtered ? (
            <Empty title="No run matches all of these filters.">
              <a href={place.value.path}>Show all runs</a>
            </Empty>
          ) : (
            <Empty title="No run has arrived yet.">
              The <a href={pageHref("/")}>overview</a> shows the lines that send the first one.
            </Empty>
          )
        }
      </Shown>
    </>
  );
}

const EXPLAINED_MOST_MS = 7 * 86_400_000;

/** As much of a window as is explained: its end. A part of a week's heatmap may be an hour longer than a week. */
function explained({ since, until }: TimeWindow): { since: string; until: string } {
  return { since: iso(Math.max(Date.parse(since), Date.parse(until) - EXPLAINED_MOST_MS)), until };
}

/** What arrived since live began; a reader must not take a page that moved on for all there was. */
function Tail({ runs }: { runs: Run[] }) {
  const known = useRef(new Set<string>());
  const seen = useSignal(0);
  const missed = useSignal(false);
  useEffect(() => {
    if (!runs.length) return;
    const fresh = runs.filter((run) => !known.current.has(run.run_id));
    if (known.current.size > 0) {
      seen.value += fresh.length;
      if (fresh.length === runs.length) missed.value = true;
    }
    for (const run of fresh) known.current.add(run.run_id);
  }, [runs]);
  return (
    <p class="banner" role="status">
      Live: asked every 2 s. {count(seen.value)} new since you turned it on.
      {missed.value &&
        ` More than ${PAGE} arrived between two looks, so some were never on this page; "older" has them.`}
    </p>
  );
}
