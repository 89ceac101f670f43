/** What fails, by kind of failure rather than by occurrence. */
import { address } from "../api/client";
import type { FailureGroups } from "../api/types";
import { useAnswer } from "../api/use";
import { PageHead, Shown } from "../parts/parts";
import { Range, WindowWords } from "../parts/range";
import { useNow } from "../state/now";
import { param, setParams } from "../state/url";
import { windowOf, zoneName } from "../state/window";
import { GroupTable } from "./failure_groups";

const LIMIT = 200;
const CHOICES: Record<string, [string, readonly (readonly [string, string])[]]> = {
  sort: [
    "sort",
    [
      ["", "most failures"],
      ["runs", "most runs"],
      ["last_seen", "last seen"],
      ["first_seen", "first seen"],
    ],
  ],
  outcome: [
    "outcome",
    [
      ["", "any"],
      ["fatal", "fatal"],
      ["recovered", "recovered"],
    ],
  ],
  failure_type: [
    "failure type",
    [
      ["", "any"],
      ["tool", "tool"],
      ["model", "model"],
      ["retrieval", "retrieval"],
      ["orchestration", "orchestration"],
    ],
  ],
};

export function FailuresPage() {
  const window = windowOf("24h", useNow());
  const query = {
    since: window.since,
    until: window.until,
    zone: zoneName.value,
    sort: param("sort"),
    outcome: param("outcome"),
    failure_type: param("failure_type"),
    failure_code: param("failure_code"),
    agent_id: param("agent_id"),
    agent_version: param("agent_version"),
    limit: LIMIT,
  };
  const where = address("/v1/failures", query);
  const answer = useAnswer<FailureGroups>(where);
  return (
    <>
      <PageHead title="Failures" note={<WindowWords window={window} />} json={where}>
        <Range window={window} />
      </PageHead>
      <form class="filters open" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
        {Object.entries(CHOICES).map(([name, [label, choices]]) => (
          <label key={name} class={param(name) === null ? "filter" : "filter active"}>
            <span>{label}</span>
            <select
              value={param(name) ?? ""}
              onChange={(event) => setParams({ [name]: event.currentTarget.value })}
            >
              {choices.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          </label>
        ))}
      </form>
      <Shown answer={answer} rows={12}>
        {(data) => (
          <>
            <GroupTable data={data} />
            {data.more && (
              <p class="banner">
                These are the first {LIMIT} kinds. Filter, or choose a shorter window, to see the others.
              </p>
            )}
          </>
        )}
      </Shown>
    </>
  );
}
