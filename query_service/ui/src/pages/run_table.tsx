/** Runs as rows. Keys go from one to the next, and the run that is opened knows which list it came from. */
import { useEffect, useRef } from "preact/hooks";
import type { Run } from "../api/types";
import { count, duration } from "../format";
import { CompletenessBadge } from "../parts/completeness";
import { Name, Status, Table, When } from "../parts/parts";
import { hereHref, navigate, pageHref, place, type Changes } from "../state/url";

export interface From {
  /** The query that they came by. */
  list: string;
  /** "1" where they are shown the other way round. */
  turned?: "1";
}

export function RunTable({ runs, from, caption }: { runs: Run[]; from: From; caption: string }) {
  const frame = useRef<HTMLDivElement>(null);
  const slowest = Math.max(...runs.map((run) => run.latency_ms ?? 0), 1);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        (event.target as Element).matches("input, select, textarea")
      )
        return;
      const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
      if (step === undefined) return;
      const links = [...frame.current!.querySelectorAll<HTMLAnchorElement>("a.row-link")];
      const at = links.indexOf(document.activeElement as HTMLAnchorElement);
      links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
      event.preventDefault();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  return (
    <div ref={frame}>
      <Table
        caption={caption}
        head={
          <>
            <th scope="col">started</th>
            <th scope="col">agent</th>
            <th scope="col">status</th>
            <th scope="col" class="num">
              took
            </th>
            <th scope="col" class="num">
              steps
            </th>
            <th scope="col">root cause</th>
            <th scope="col">complete</th>
          </>
        }
      >
        {runs.map((run) => (
          <RunRow key={run.run_id} run={run} from={from} slowest={slowest} />
        ))}
      </Table>
    </div>
  );
}

function RunRow({ run, from, slowest }: { run: Run; from: From; slowest: number }) {
  const href = pageHref(`/runs/${run.run_id}`, { ...from });
  const failure = run.root_cause ?? run.failure;
  return (
    <tr class="clickable" onClick={(event) => !(event.target as Element).closest("a") && navigate(href)}>
      <td class="tight">
        <a class="row-link" href={href}>
          <When at={run.started_at} form="second" />
        </a>
      </td>
      <td class="wide-cell">
        <Name>{run.agent_id}</Name>{" "}
        <a
          class="plain version"
          href={runsHref({ agent_id: run.agent_id, agent_version: run.agent_version })}
          title="Only this version"
        >
          <bdi>{run.agent_version}</bdi>
        </a>
      </td>
      <td class="tight">
        <Status of={run.status} />
      </td>
      <td class="num bar-cell">
        {run.latency_ms !== null && (
          <span
            class="cell-bar"
            style={{ width: `${(run.latency_ms / slowest) * 100}%` }}
            aria-hidden="true"
          />
        )}
        <span>{duration(run.latency_ms)}</span>
      </td>
      <td class="num">
        {count(run.step_count)}
        {run.error_step_count > 0 && (
          <span class="bad" title={`${count(run.error_step_count)} failed steps`}>
            {" "}
            ✕{count(run.error_step_count)}
          </span>
        )}
      </td>
      <td class="tight">
        {failure ? (
          <a
            class="plain"
            href={runsHref({ failure_code: failure.failure_code })}
            title="Only runs with this failure"
          >
            {failure.failure_type} · {failure.failure_code}
            {!run.root_cause && <span class="note"> recovered</span>}
          </a>
        ) : (
          "–"
        )}
      </td>
      <td class="tight">
        <CompletenessBadge of={run.completeness} running={run.status === "running"} />
      </td>
    </tr>
  );
}

/** The list of runs with one filter more; from another page, with that filter alone. */
const runsHref = (changes: Changes): string =>
  place.value.path === "/runs" ? hereHref({ ...changes, cursor: null }) : pageHref("/runs", changes);
