/** The time, as it was when the page last had a reason to look: an address that is asked must not change by itself. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

const now = signal(Date.now());
const EVERY_MS = 60_000;

/** Moves on once a minute. */
export function useNow(): number {
  useEffect(() => {
    const timer = setInterval(() => (now.value = Date.now()), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return now.value;
}
