/** Times as an Indian exchange shows them: IST, 24 hours, wherever the browser is. Arguments are epoch milliseconds. */

import { UNKNOWN } from "./numbers";

const zone = { timeZone: "Asia/Kolkata", hourCycle: "h23" } as const;
const clockFormat = new Intl.DateTimeFormat("en-IN", {
  ...zone,
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const minuteFormat = new Intl.DateTimeFormat("en-IN", { ...zone, hour: "2-digit", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat("en-IN", { ...zone, day: "2-digit", month: "short" });
const dateFormat = new Intl.DateTimeFormat("en-IN", {
  ...zone,
  day: "2-digit",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});

type Maybe = number | null | undefined;

/** 10:30:05 */
export function clock(at: Maybe): string {
  return at == null ? UNKNOWN : clockFormat.format(at);
}

/** 10:30:05.123 */
export function preciseClock(at: number): string {
  return `${clockFormat.format(at)}.${String(Math.floor(at) % 1000).padStart(3, "0")}`;
}

/** 10:30 */
export function hourMinute(at: number): string {
  return minuteFormat.format(at);
}

/** 05 Feb */
export function day(at: number): string {
  return dayFormat.format(at);
}

/** 05 Feb 2026, 10:30 */
export function dateTime(at: Maybe): string {
  return at == null ? UNKNOWN : dateFormat.format(at);
}

/** The last trade's time: the clock today, the day before that. */
export function tradeTime(at: Maybe, now: number): string {
  if (at == null) return UNKNOWN;
  return day(at) === day(now) && Math.abs(now - at) < 86_400_000 ? clock(at) : day(at);
}

/** How long ago that was; null where it is not known. */
export function elapsed(now: number, since: number | null): number | null {
  return since === null ? null : now - since;
}

/** 45 s · 12 min · 3 h 20 min · 5 d 2 h */
export function duration(ms: Maybe): string {
  if (ms == null) return UNKNOWN;
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.floor(hours / 24)} d`;
}
