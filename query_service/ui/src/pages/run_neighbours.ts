/** The runs before and behind this one in the list that it was opened from. The list is in the address, like all else. */
import { useMemo } from "preact/hooks";
import type { Runs } from "../api/types";
import { useAnswer } from "../api/use";
import { pageHref, param } from "../state/url";
import { sessionHref } from "./hrefs";

export interface Neighbours {
  known: boolean;
  previous: string | undefined;
  next: string | undefined;
  list: string | undefined;
}

export function useNeighbours(id: string): Neighbours {
  const list = param("list");
  // A session reads from its oldest run on; the API gives the newest first.
  const turned = param("turned") === "1";
  const { data } = useAnswer<Runs>(list === null ? null : `/v1/runs?${list}`);
  return useMemo(() => {
    const runs = turned ? data?.runs.toReversed() : data?.runs;
    const at = runs ? runs.findIndex((run) => run.run_id === id) : -1;
    const link = (place: number) => {
      const run = runs?.[place];
      return run && pageHref(`/runs/${run.run_id}`, { list, turned: turned ? "1" : null });
    };
    const session = new URLSearchParams(list ?? "").get("session");
    return {
      known: at !== -1,
      previous: at > 0 ? link(at - 1) : undefined,
      next: at === -1 ? undefined : link(at + 1),
      list: list === null ? undefined : turned && session ? sessionHref(session) : `/runs?${list}`,
    };
  }, [data, id, list, turned]);
}
