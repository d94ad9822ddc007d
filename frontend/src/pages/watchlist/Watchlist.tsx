/** The instruments that one follows, live; the chosen one with chart and details. */

import { lazy, Suspense, useEffect, useMemo, useRef, useState } from "react";
import { useSession } from "../../app/session";
import { useSubscription } from "../../hooks/useMarketData";
import { type Instrument, instrumentKey } from "../../market/types";
import { Button, Scroller } from "../../ui/controls";
import { InstrumentSearch } from "../../ui/InstrumentSearch";
import { recorder } from "./recorder";
import { STARTERS, same, useWatchlist } from "./storage";
import { WatchRow } from "./WatchRow";
import "./watchlist.css";

const Details = lazy(() => import("./Details"));

export default function Watchlist() {
  const { session } = useSession();
  const { instruments, add, remove } = useWatchlist(session?.username ?? "");
  const [chosen, setChosen] = useState<Instrument | null>(instruments[0] ?? null);
  const body = useRef<HTMLTableSectionElement>(null);

  useSubscription(instruments, "QUOTE");
  useEffect(() => recorder.record(instruments.map(instrumentKey)), [instruments]);

  const selected = chosen && instruments.some((one) => same(one, chosen)) ? chosen : (instruments[0] ?? null);

  const handlers = useMemo(
    () => ({
      choose: (instrument: Instrument) => setChosen(instrument),
      remove: (instrument: Instrument) => remove(instrument),
      /** Moves the focus to the row `step` away. */
      move: (from: Instrument, step: number) => {
        const rows = [...(body.current?.querySelectorAll<HTMLElement>("button.pick") ?? [])];
        const at = rows.findIndex((row) => row.dataset.key === instrumentKey(from));
        rows[at + step]?.focus();
      },
    }),
    [remove],
  );

  return (
    <>
      <div className="page-head">
        <h1>Watchlist</h1>
        <div className="watch-search">
          <InstrumentSearch
            label="Add an instrument"
            placeholder="Add an instrument  ( / )"
            isPicked={(one) => instruments.some((known) => same(known, one))}
            onPick={(found) => {
              add([found]);
              setChosen(found);
            }}
          />
        </div>
      </div>
      {instruments.length === 0 ? (
        <div className="panel empty">
          <h2>Nothing here yet</h2>
          <p>Search for an instrument above, or begin with two indices and a few large shares.</p>
          <Button look="primary" onClick={() => add(STARTERS)}>
            Add a starter list
          </Button>
        </div>
      ) : (
        <div className="watch">
          <Scroller label="Instruments" className="panel watch-list">
            <table className="table watch-table">
              <thead>
                <tr>
                  <th scope="col">Instrument</th>
                  <th scope="col" className="num">
                    LTP
                  </th>
                  <th scope="col" className="num">
                    Change
                  </th>
                  <th scope="col" className="w-line">
                    3 min
                  </th>
                  <th scope="col" className="w-range">
                    Day range
                  </th>
                  <th scope="col" className="num w-volume">
                    Volume
                  </th>
                  <th scope="col" className="num w-trade">
                    Last trade
                  </th>
                  <th scope="col">
                    <span className="visually-hidden">Remove</span>
                  </th>
                </tr>
              </thead>
              <tbody ref={body}>
                {instruments.map((instrument) => (
                  <WatchRow
                    key={instrumentKey(instrument)}
                    symbol={instrument.symbol}
                    exchange={instrument.exchange}
                    selected={selected !== null && same(instrument, selected)}
                    handlers={handlers}
                  />
                ))}
              </tbody>
            </table>
          </Scroller>
          {selected && (
            <Suspense fallback={<div className="panel loading">Loading…</div>}>
              <Details key={instrumentKey(selected)} instrument={selected} />
            </Suspense>
          )}
        </div>
      )}
    </>
  );
}
