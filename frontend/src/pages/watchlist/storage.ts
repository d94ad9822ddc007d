/** The user's watchlist, kept in this browser. */

import { useCallback, useState } from "react";
import type { Instrument } from "../../market/types";

const MOST = 200;

export const STARTERS: readonly Instrument[] = [
  { symbol: "NIFTY", exchange: "NSE_INDEX" },
  { symbol: "BANKNIFTY", exchange: "NSE_INDEX" },
  { symbol: "RELIANCE", exchange: "NSE" },
  { symbol: "HDFCBANK", exchange: "NSE" },
  { symbol: "INFY", exchange: "NSE" },
  { symbol: "SBIN", exchange: "NSE" },
  { symbol: "TCS", exchange: "NSE" },
  { symbol: "ITC", exchange: "NSE" },
];

export interface Watchlist {
  instruments: readonly Instrument[];
  add: (instruments: readonly Instrument[]) => void;
  remove: (instrument: Instrument) => void;
}

export function useWatchlist(user: string): Watchlist {
  const name = `tickmux.watchlist.${user}`;
  const [instruments, setInstruments] = useState(() => load(name));

  const change = useCallback(
    (next: (before: readonly Instrument[]) => readonly Instrument[]) =>
      setInstruments((before) => {
        const after = next(before).slice(0, MOST);
        save(name, after);
        return after;
      }),
    [name],
  );

  const add = useCallback(
    (more: readonly Instrument[]) =>
      change((before) => {
        const fresh = more.filter((one) => !before.some((known) => same(known, one)));
        return [...before, ...fresh.map(({ symbol, exchange }) => ({ symbol, exchange }))];
      }),
    [change],
  );
  const remove = useCallback(
    (instrument: Instrument) => change((before) => before.filter((one) => !same(one, instrument))),
    [change],
  );
  return { instruments, add, remove };
}

export function same(a: Instrument, b: Instrument): boolean {
  return a.symbol === b.symbol && a.exchange === b.exchange;
}

function load(name: string): readonly Instrument[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(name) ?? "[]");
    return Array.isArray(stored) ? stored.filter(isInstrument).slice(0, MOST) : [];
  } catch {
    return [];
  }
}

function save(name: string, instruments: readonly Instrument[]): void {
  try {
    localStorage.setItem(name, JSON.stringify(instruments));
  } catch {
    // Storage may be full or forbidden; the list then lasts as long as the page.
  }
}

function isInstrument(value: unknown): value is Instrument {
  const { symbol, exchange } = (value ?? {}) as Partial<Instrument>;
  return typeof symbol === "string" && typeof exchange === "string";
}
