/** The address is the only state: what is shown follows from it alone, so a reload, a link and the back button give the same. */
import { signal } from "@preact/signals";

export interface Place {
  path: string;
  params: URLSearchParams;
}

export type Changes = Record<string, string | null | undefined>;

/** Parameters that go along from page to page: the window that is looked at, and the zone of times. */
const CARRIED = ["tz", "range", "since", "until"];

const read = (): Place => ({ path: location.pathname, params: new URLSearchParams(location.search) });

export const place = signal<Place>(read());

export function startRouting(): void {
  addEventListener("popstate", () => {
    place.value = read();
  });
  document.addEventListener("click", follow);
}

/** A link to a page inside is followed without loading the document again; all others are left to the browser. */
function follow(event: MouseEvent): void {
  if (
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  )
    return;
  const anchor = (event.target as Element).closest("a");
  if (!anchor || anchor.target || anchor.hasAttribute("download") || anchor.origin !== location.origin)
    return;
  if (anchor.pathname.startsWith("/v1/") || anchor.pathname === "/openapi.json") return;
  if (anchor.getAttribute("href")?.startsWith("#")) return;
  event.preventDefault();
  navigate(anchor.pathname + anchor.search + anchor.hash);
}

export function navigate(href: string, replace = false): void {
  // One entry of the history for one place: Enter in a field says the same twice.
  if (href === location.pathname + location.search + location.hash) return;
  const before = place.value.path;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  place.value = read();
  if (place.value.path !== before) {
    scrollTo(0, 0);
    document.getElementById("main")?.focus({ preventScroll: true });
  }
}

/** The address of another page, with the window and zone of this one. Null leaves a parameter out. */
export function pageHref(path: string, changes: Changes = {}): string {
  const params = new URLSearchParams();
  for (const name of CARRIED) {
    const value = place.value.params.get(name);
    if (value !== null) params.set(name, value);
  }
  return withChanges(path, params, changes);
}

/** The address of this page with some parameters changed. */
export function hereHref(changes: Changes): string {
  return withChanges(place.value.path, new URLSearchParams(place.value.params), changes);
}

export function setParams(changes: Changes, replace = false): void {
  navigate(hereHref(changes), replace);
}

function withChanges(path: string, params: URLSearchParams, changes: Changes): string {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") params.delete(name);
    else params.set(name, value);
  }
  const query = params.toString();
  return query ? `${path}?${query}` : path;
}

export function param(name: string): string | null {
  return place.value.params.get(name);
}
