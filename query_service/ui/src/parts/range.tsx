/** Chooses the window of time. It is in the address, and goes along from page to page. */
import { time } from "../format";
import { hereHref, param } from "../state/url";
import { useNow } from "../state/now";
import { RANGES, yesterdayOf, zoneName, type TimeWindow } from "../state/window";
import { When } from "./parts";

export function Range({ window }: { window: TimeWindow }) {
  const yesterday = yesterdayOf(useNow());
  const isYesterday = window.since === yesterday.since && window.until === yesterday.until;
  return (
    <nav class="range" aria-label="Window of time">
      {window.range === null && (
        <a class="chosen" href={hereHref({ since: null, until: null })} title="Back to a window up to now">
          {isYesterday ? "yesterday" : `${time(window.since)} – ${time(window.until)}`} ✕
        </a>
      )}
      {isYesterday || (
        <a
          href={hereHref({ ...yesterday, range: null, cursor: null })}
          title="From midnight to midnight of the chosen zone"
        >
          yesterday
        </a>
      )}
      {RANGES.map((range) => (
        <a
          key={range}
          href={hereHref({ range, since: null, until: null, cursor: null })}
          aria-current={range === window.range ? "true" : undefined}
        >
          {range}
        </a>
      ))}
    </nav>
  );
}

export const anyWindow = (): boolean => param("range") !== null || param("since") !== null;

export function WindowWords({ window }: { window: TimeWindow }) {
  return (
    <>
      <When at={window.since} /> – {window.range === null ? <When at={window.until} /> : "now"} ·{" "}
      {zoneName.value}
    </>
  );
}
