/** One question's answer as a component sees it: while it is on its way, when it is here, and when it was refused. */
import { useCallback, useEffect, useState } from "preact/hooks";
import { sessionEnded } from "../state/session";
import { ApiError, ask } from "./client";

export interface Answer<T> {
  /** The newest answer; it stays while the next one is on its way. */
  data: T | undefined;
  /** The address that `data` answers. */
  of: string | undefined;
  error: ApiError | undefined;
  loading: boolean;
  reload: () => void;
}

interface Held<T> {
  data?: T | undefined;
  of?: string | undefined;
  error?: ApiError | undefined;
  loading: boolean;
  /** The address that was answered or refused last. */
  asked?: string;
}

/** Asks for `where`; null asks nothing. `everyMs` asks again so often while the page is in view. */
export function useAnswer<T>(where: string | null, everyMs = 0): Answer<T> {
  const [held, hold] = useState<Held<T>>({ loading: where !== null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (where === null) return undefined;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = (ms: number) => {
      timer = setTimeout(() => (document.hidden ? again(ms) : void once()), ms);
    };
    const once = async () => {
      try {
        const data = await ask<T>(where, abort.signal);
        hold({ data, of: where, asked: where, loading: false });
        if (everyMs) again(everyMs);
      } catch (error) {
        if (abort.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 401) sessionEnded();
        hold((before) => ({ ...before, error, asked: where, loading: false }));
        if (error.retryAfter) again(Math.max(error.retryAfter * 1000, everyMs));
      }
    };
    hold(({ data, of }) => ({ data, of, loading: true }));
    void once();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [where, everyMs, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  // Also in the moment between a new address and the effect that asks for it.
  const loading = where !== null && (held.loading || held.asked !== where);
  return { data: held.data, of: held.of, error: held.error, loading, reload };
}
