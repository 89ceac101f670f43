/** What an explanation says in words, apart from how it is drawn. Pure. */
import { duration, money, short } from "../format";
import type { SharedAttribute } from "../api/types";

const WORDS: Record<string, string> = {
  agent: "agent",
  agent_version: "version",
  status: "status",
  end_reason: "end reason",
  failure_code: "failure",
  root_cause: "root cause",
  failure_outcome: "outcome of a failure",
  failure_fingerprint: "kind of failure",
  shape: "path",
  completeness: "completeness",
  nested: "started by another run",
  step: "has the step",
  failed_step: "fails in the step",
  called_agent: "calls the agent",
  model: "model",
  provider: "provider",
  error_class: "error class",
  error_code: "error code",
  http_status: "HTTP status",
  latency_ms: "takes",
  steps: "steps",
  error_steps: "failed steps",
  failures: "failures",
  tokens: "tokens",
  cost_usd: "cost",
};

/** The attribute; of metadata its key. */
export const attributeWords = ({ attribute, key }: SharedAttribute): string =>
  key ?? WORDS[attribute] ?? attribute.replaceAll("_", " ");

export function valueWords({ attribute, operator, value }: SharedAttribute): string {
  if (operator !== "at_least") return attribute.endsWith("step") ? value.replace("/", " ") : value;
  const bound = Number(value);
  if (attribute === "latency_ms") return `≥ ${duration(bound)}`;
  return `≥ ${attribute === "cost_usd" ? money(bound, "USD") : short(bound)}`;
}

/** What they share before what they lack; else as the API gives them, the surest first. */
export const sharedFirst = (attributes: readonly SharedAttribute[]): SharedAttribute[] => [
  ...attributes.filter(({ difference }) => difference > 0),
  ...attributes.filter(({ difference }) => difference <= 0),
];
