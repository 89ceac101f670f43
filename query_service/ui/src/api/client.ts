/** Questions to the public API, and the refusals that it answers with. Nothing else is ever asked. */
import type { paths } from "./schema";

export type Path = keyof paths;
export type Params = Record<string, string | number | null | undefined>;

/** An answer that is no success; `retryAfter` is in seconds, 0 where asking again would not help. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfter = 0,
    readonly field: string | null = null,
  ) {
    super(message);
  }
}

let clockAheadMs = 0;

/** The time by the clock of the query service, which is what its answers are old by; to the second. */
export const serverNow = (): number => Date.now() + clockAheadMs;

/** The address of a question, without parameters that are not given. */
export function address(path: string, params: Params = {}): string {
  const given = Object.entries(params).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return query ? `${path}?${query}` : path;
}

/** The answer to a GET. Throws ApiError; an aborted one throws the abort. */
export async function ask<T>(where: string, signal?: AbortSignal): Promise<T> {
  return call<T>("GET", where, {}, signal);
}

export async function call<T>(
  method: string,
  where: string,
  headers: Record<string, string>,
  signal?: AbortSignal,
): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(where, { method, headers, signal: signal ?? null, credentials: "same-origin" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The query service does not answer. Is it still running?", 2);
  }
  const said = Date.parse(answer.headers.get("date") ?? "");
  if (!Number.isNaN(said)) clockAheadMs = said - Date.now();
  if (!answer.ok) throw await refusal(answer);
  return (await answer.json()) as T;
}

async function refusal(answer: Response): Promise<ApiError> {
  const wait = Number(answer.headers.get("retry-after") ?? 0);
  try {
    const { error } = (await answer.json()) as {
      error: { code: string; message: string; field?: string | null };
    };
    return new ApiError(answer.status, error.code, error.message, wait, error.field ?? null);
  } catch {
    return new ApiError(answer.status, "unknown", `The query service answered ${answer.status}.`, wait);
  }
}
