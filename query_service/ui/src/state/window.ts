/** The window of time that is looked at, and the zone in which times are written. Both are read from the address. */
import { computed } from "@preact/signals";
import { param } from "./url";

export const RANGES = ["1h", "6h", "24h", "7d", "30d"] as const;
const UNITS: Record<string, number> = { h: 3_600_000, d: 86_400_000 };

export interface TimeWindow {
  since: string;
  until: string;
  /** One of RANGES, null for a window between two given times. */
  range: string | null;
}

const MINUTE = 60_000;

export function rangeMs(range: string): number {
  return Number(range.slice(0, -1)) * (UNITS[range.slice(-1)] ?? MINUTE);
}

/** The window of the address. A relative one ends with the minute that began last, so that one question has one address. */
export function windowOf(usual: string, now: number): TimeWindow {
  const since = param("since");
  const until = param("until");
  if (since !== null && !Number.isNaN(Date.parse(since))) {
    const end = until !== null && !Number.isNaN(Date.parse(until)) ? until : iso(now);
    return { since, until: end, range: null };
  }
  const asked = param("range");
  const range = asked !== null && (RANGES as readonly string[]).includes(asked) ? asked : usual;
  const end = Math.ceil(now / MINUTE) * MINUTE;
  return { since: iso(end - rangeMs(range)), until: iso(end), range };
}

/** The whole day before the one that `now` is in, in the chosen zone. */
export function yesterdayOf(now: number): { since: string; until: string } {
  const midnight = (daysBack: number): string => {
    const day = new Date(now);
    if (zone.value === "utc") day.setUTCHours(-24 * daysBack, 0, 0, 0);
    else {
      day.setDate(day.getDate() - daysBack);
      day.setHours(0, 0, 0, 0);
    }
    return iso(day.getTime());
  };
  return { since: midnight(1), until: midnight(0) };
}

/** For a trend over several days: an hour holds too few runs to say a rate. Null leaves it to the API. */
export function trendBucket({ since, until }: TimeWindow): string | null {
  const days = (Date.parse(until) - Date.parse(since)) / rangeMs("1d");
  return days > 2 && days <= 14 ? "6h" : null;
}

export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** `local` (the browser's zone) or `utc`. */
export const zone = computed<"local" | "utc">(() => (param("tz") === "utc" ? "utc" : "local"));

export const zoneName = computed(() =>
  zone.value === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
);
