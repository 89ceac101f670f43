/** The filters of the list of runs: each is a parameter of the API by the same name. */
import { useSignal } from "@preact/signals";
import { address } from "../api/client";
import { useAnswer } from "../api/use";
import { hereHref, param, place, setParams } from "../state/url";
import type { TimeWindow } from "../state/window";
import type { Names } from "../api/types";

interface Filter {
  name: string;
  label: string;
  choices?: readonly string[];
  /** Of which kind of names the API knows some. */
  names?: keyof Names["names"];
  /** Not offered to type, but shown where a link brought it. */
  linked?: boolean;
}

export const FILTERS: readonly Filter[] = [
  { name: "agent_id", label: "agent", names: "agent" },
  { name: "agent_version", label: "version", names: "version" },
  { name: "status", label: "status", choices: ["running", "success", "partial", "failure", "abandoned"] },
  { name: "failure_type", label: "failure type", choices: ["tool", "model", "retrieval", "orchestration"] },
  { name: "failure_code", label: "failure code", names: "failure_code" },
  { name: "tool", label: "tool", names: "tool" },
  { name: "min_latency_ms", label: "at least ms" },
  { name: "max_latency_ms", label: "at most ms" },
  { name: "failure_fingerprint", label: "failure like", linked: true },
  { name: "shape", label: "path like", linked: true },
  { name: "session", label: "session", linked: true },
  { name: "outcome", label: "outcome", linked: true },
  { name: "end_reason", label: "end reason", linked: true },
  { name: "step_name", label: "step", linked: true },
  { name: "model", label: "model", linked: true },
  { name: "parent_run_id", label: "started by", linked: true },
];

export function Filters({ window }: { window: TimeWindow }) {
  const { data } = useAnswer<Names>(address("/v1/names", { since: window.since, until: window.until }));
  const open = useSignal(false);
  const active = FILTERS.filter(({ name }) => param(name) !== null);
  return (
    <form
      class={`filters${open.value ? " open" : ""}`}
      aria-label="Filters"
      onSubmit={(event) => event.preventDefault()}
    >
      <button
        type="button"
        class="quiet filters-toggle"
        aria-expanded={open.value}
        onClick={() => (open.value = !open.value)}
      >
        Filters{active.length ? ` (${active.length})` : ""}
      </button>
      {FILTERS.filter(({ linked, name }) => !linked || param(name) !== null).map((filter) => (
        <label key={filter.name} class={param(filter.name) === null ? "filter" : "filter active"}>
          <span>{filter.label}</span>
          <Control
            filter={filter}
            suggestions={filter.names ? (data?.names[filter.names] ?? []).map(({ name }) => name) : []}
          />
        </label>
      ))}
      {active.length > 0 && (
        <a
          class="quiet"
          href={hereHref(
            Object.fromEntries(["cursor", ...active.map(({ name }) => name)].map((name) => [name, null])),
          )}
        >
          clear
        </a>
      )}
    </form>
  );
}

function Control({ filter, suggestions }: { filter: Filter; suggestions: string[] }) {
  const value = param(filter.name) ?? "";
  const change = (to: string) => {
    if (to.trim() !== value) setParams({ [filter.name]: to.trim() || null, cursor: null });
  };
  if (filter.choices) {
    return (
      <select value={value} onChange={(event) => change(event.currentTarget.value)}>
        <option value="">any</option>
        {filter.choices.map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    );
  }
  const list = `names-${filter.name}`;
  return (
    <>
      <input
        key={`${filter.name}=${value} ${place.value.path}`}
        type="text"
        inputMode={filter.name.endsWith("_ms") ? "numeric" : "text"}
        defaultValue={value}
        list={suggestions.length ? list : undefined}
        placeholder="any"
        spellcheck={false}
        autocomplete="off"
        onChange={(event) => change(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Enter" && change(event.currentTarget.value)}
      />
      {suggestions.length > 0 && (
        <datalist id={list}>
          {suggestions.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      )}
    </>
  );
}
