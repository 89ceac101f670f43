/** The run's failures, its producers, and its JSON. */
import { address } from "../api/client";
import type { Failure, Failures, Run, Tree } from "../api/types";
import { useAnswer } from "../api/use";
import { count, shortId } from "../format";
import { CompletenessBadge, completenessWords } from "../parts/completeness";
import { Code, Empty, Name, Shown, Table, When } from "../parts/parts";
import { hereHref, pageHref } from "../state/url";

const SHOWN_MOST = 500;

export function FailuresTab({ run, tree }: { run: Run; tree: Tree | undefined }) {
  const answer = useAnswer<Failures>(address(`/v1/runs/${run.run_id}/failures`, { limit: SHOWN_MOST }));
  return (
    <>
      {tree && tree.runs.length > 1 && (
        <p class="note">Of the run itself. The waterfall marks those of the agents inside too.</p>
      )}
      <Shown answer={answer}>
        {({ failures }) => <FailureTable run={run} failures={failures} names={namesOf(tree)} />}
      </Shown>
    </>
  );
}

/** Names of the run's own steps by their ids. */
const namesOf = (tree: Tree | undefined): Map<string, string> =>
  new Map(
    tree?.steps.id.flatMap((id, row): [string, string][] =>
      tree.steps.run[row] === 0 ? [[id, tree.strings[tree.steps.name[row]!] ?? ""]] : [],
    ),
  );

interface FailureTableProps {
  run: Run;
  failures: Failure[];
  names: Map<string, string>;
}

function FailureTable({ run, failures, names }: FailureTableProps) {
  if (!failures.length) return <Empty title="Nothing failed." />;
  const codes = new Map(failures.map((failure) => [failure.failure_id, failure.failure_code]));
  return (
    <Table
      caption="Failures of the run, in the order in which they occurred"
      head={
        <>
          <th scope="col">at</th>
          <th scope="col">failure</th>
          <th scope="col">outcome</th>
          <th scope="col">step</th>
          <th scope="col">evidence</th>
          <th scope="col">rule</th>
          <th scope="col">followed from</th>
          <th scope="col">others</th>
        </>
      }
    >
      {failures.map((failure) => (
        <tr key={failure.failure_id} class={failure.is_root_cause ? "row-root" : undefined}>
          <td class="tight">
            <When at={failure.occurred_at} form="clock" />
          </td>
          <td class="tight">
            {failure.is_root_cause && (
              <span class="mark mark-root" title="root cause">
                ◆<span class="visually-hidden"> root cause </span>
              </span>
            )}{" "}
            {failure.failure_type} · {failure.failure_code}
          </td>
          <td>{failure.outcome ?? "not judged"}</td>
          <td>
            {failure.step_id ? (
              <Name href={hereHref({ tab: null, step: failure.step_id })}>
                {names.get(failure.step_id) ?? failure.step_id}
              </Name>
            ) : (
              "the run"
            )}
          </td>
          <td>{evidence(failure) || "–"}</td>
          <td>
            <code>{failure.rule_id}</code>
          </td>
          <td>{failure.caused_by ? (codes.get(failure.caused_by) ?? failure.caused_by) : "–"}</td>
          <td>{failure.fingerprint && <a href={pageHref(`/failures/${failure.fingerprint}`)}>like it</a>}</td>
        </tr>
      ))}
      {run.failure_count > failures.length && (
        <tr>
          <td colSpan={8} class="note">
            The first {count(failures.length)} of {count(run.failure_count)}; the waterfall marks all, and the
            JSON has them.
          </td>
        </tr>
      )}
    </Table>
  );
}

function evidence(failure: Failure): string {
  const said = [
    failure.error_class,
    failure.error_code,
    failure.http_status === null ? null : `HTTP ${failure.http_status}`,
    failure.errno === null ? null : `errno ${failure.errno}`,
    failure.attempt !== null && failure.attempt > 1 ? `try ${failure.attempt}` : null,
  ];
  return said.filter((one) => one !== null).join(" · ");
}

export function ProducersTab({ run }: { run: Run }) {
  const { producers } = run.completeness;
  return (
    <>
      <p class="banner">
        <CompletenessBadge of={run.completeness} running={run.status === "running"} />{" "}
        {completenessWords(run.completeness)}
      </p>
      {producers.length > 0 ? (
        <Table
          caption="Processes that sent events of this run"
          head={
            <>
              <th scope="col">producer</th>
              <th scope="col">state</th>
              <th scope="col" class="num">
                stored
              </th>
              <th scope="col" class="num">
                lost
              </th>
              <th scope="col">declared by reason</th>
              <th scope="col" class="num">
                unexplained
              </th>
              <th scope="col" class="num">
                gaps
              </th>
            </>
          }
        >
          {producers.map((producer) => (
            <tr key={producer.producer}>
              <td>
                <code>{producer.producer}</code>
              </td>
              <td>{producer.state}</td>
              <td class="num">{count(producer.stored_events)}</td>
              <td class="num">{count(producer.lost_events)}</td>
              <td>
                {Object.entries(producer.declared)
                  .map(([reason, events]) => `${reason} ${count(events)}`)
                  .join(", ") || "–"}
              </td>
              <td class="num">{count(producer.unexplained_events)}</td>
              <td class="num">{count(producer.gaps)}</td>
            </tr>
          ))}
        </Table>
      ) : (
        <Empty title="No process numbers the events of this run.">
          OpenTelemetry spans carry no numbers, so nobody can say whether all of them arrived.
        </Empty>
      )}
    </>
  );
}

export function JsonTab({ run }: { run: Run }) {
  const where = `/v1/runs/${run.run_id}`;
  return (
    <>
      <p class="note">
        The same from a program: <a href={where}>{where}</a> · <a href={`${where}/steps`}>/steps</a> ·{" "}
        <a href={`${where}/failures`}>/failures</a> · <a href={`${where}/tree`}>/tree</a> ·{" "}
        <a href={pageHref("/docs")}>API</a>
      </p>
      <p class="note">
        As a trace for Perfetto or Chrome:{" "}
        <a href={`${where}/export?format=chrome`} download={`run-${run.run_id}.json`}>
          run-{shortId(run.run_id)}.json
        </a>
      </p>
      <Code text={JSON.stringify(run, null, 2)} label="The run as JSON" />
    </>
  );
}
