/** Numbers, durations and times in words. Every number has its unit, every time its zone somewhere near. */
import { zoneName } from "./state/window";

const NUMBER = new Intl.NumberFormat("en-US");
export const NONE = "–";

export const count = (value: number | null | undefined): string =>
  value == null ? NONE : NUMBER.format(value);

export function short(value: number): string {
  if (value < 10_000) return NUMBER.format(value < 100 ? Math.round(value * 100) / 100 : Math.round(value));
  if (value < 1_000_000) return `${trim(value / 1000)}k`;
  return value < 1e9 ? `${trim(value / 1e6)}M` : `${trim(value / 1e9)}G`;
}

const trim = (value: number): string =>
  value < 10 ? value.toFixed(1).replace(/\.0$/, "") : String(Math.round(value));

/** A share as per cent; a small one keeps a digit, and one that is not 0 or all never reads so. */
export function percent(share: number | null | undefined): string {
  if (share == null) return NONE;
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1 %";
  if (value > 99 && value < 100) return `${Math.floor(value * 10) / 10} %`;
  return `${value > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** An amount with its currency; a small one keeps two digits that say something. */
export function money(amount: number, currency: string): string {
  const digits = amount > 0 && amount < 0.1 ? Math.min(1 - Math.floor(Math.log10(amount)), 6) : 2;
  return `${amount.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${currency}`;
}

/** Milliseconds as people say them: three digits and the unit. */
export function duration(ms: number | null | undefined): string {
  if (ms == null) return NONE;
  const size = Math.abs(ms);
  if (size === 0) return "0 s";
  if (size < 1) return `${Math.round(ms * 1000)} µs`;
  if (size < 1000) return `${size < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (size < 60_000) return `${(ms / 1000).toFixed(size < 10_000 ? 2 : 1)} s`;
  if (size < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((size % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.round((size % 3_600_000) / 60_000)} min`;
}

type Form = "full" | "clock" | "day" | "minute" | "second";
const FORMS: Record<Form, Intl.DateTimeFormatOptions> = {
  full: {
    year: "numeric",
    month: "short",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  },
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  day: { month: "short", day: "2-digit" },
  second: { month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" },
  minute: { month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit" },
};
const made = new Map<string, Intl.DateTimeFormat>();

/** A time in the chosen zone. */
export function time(at: string | number | null | undefined, form: Form = "minute"): string {
  if (at == null) return NONE;
  const key = `${form} ${zoneName.value}`;
  let format = made.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", { ...FORMS[form], hourCycle: "h23", timeZone: zoneName.value });
    made.set(key, format);
  }
  return format.format(typeof at === "number" ? at : Date.parse(at));
}

export function ago(at: string, now: number): string {
  const ms = now - Date.parse(at);
  if (ms < 1000) return "now";
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s ago`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ago`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ago`;
  return `${Math.floor(ms / 86_400_000)} d ago`;
}

export const shortId = (id: string): string => id.slice(0, 8);
