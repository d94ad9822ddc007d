/** The order book of one instrument, as deep as the broker gives it. */

import { useEffect, useState } from "react";
import { useLocation, useSearch } from "wouter";
import { get } from "../../api/client";
import type { SymbolAnswer } from "../../api/types";
import { DepthCurve } from "../../charts/DepthCurve";
import { compact, integer, percent, price, priceDigits, signed } from "../../format/numbers";
import { tradeTime } from "../../format/time";
import { useClientState, useSubscription, useTick } from "../../hooks/useMarketData";
import { sharedClient } from "../../market/shared";
import { type Instrument, instrumentKey } from "../../market/types";
import { Failure, Panel, Segmented } from "../../ui/controls";
import { DepthLadder } from "../../ui/DepthLadder";
import { InstrumentSearch } from "../../ui/InstrumentSearch";
import { Flash, tone } from "../../ui/Live";
import "./depth.css";

const LEVELS = [5, 20, 30, 50, 200];

export default function DepthPage() {
  const [, go] = useLocation();
  const query = new URLSearchParams(useSearch());
  const symbol = query.get("symbol");
  const exchange = query.get("exchange");
  const instrument = symbol && exchange ? { symbol, exchange } : null;

  return (
    <>
      <div className="page-head">
        <h1>Market depth</h1>
        <div className="depth-search">
          <InstrumentSearch
            label="Instrument"
            placeholder="Choose an instrument  (press /)"
            value={instrument ? `${instrument.symbol} · ${instrument.exchange}` : ""}
            onPick={(found) => go(`/depth?symbol=${encodeURIComponent(found.symbol)}&exchange=${found.exchange}`)}
          />
        </div>
      </div>
      {instrument ? (
        <Book key={instrumentKey(instrument)} instrument={instrument} />
      ) : (
        <div className="panel empty">
          <h2>Choose an instrument</h2>
          <p>
            Its book appears here with as many levels as your broker sends: 5 everywhere, 20, 30, 50 or 200 at some.
          </p>
        </div>
      )}
    </>
  );
}

function Book({ instrument }: { instrument: Instrument }) {
  const { exchange } = instrument;
  const client = sharedClient();
  const key = instrumentKey(instrument);
  const offered = useOffered(instrument);
  const [picked, setPicked] = useState<number | null>(null);
  const requested = picked ?? Math.max(5, ...(offered ?? []).filter((level) => level <= 50));
  // Not before it is known what to ask for: changing the depth costs the broker two requests.
  useSubscription([instrument], "DEPTH", { depth: requested, enabled: offered !== null });
  useClientState();
  const tick = useTick(instrument, "DEPTH");
  const refusal = client.error(key, "DEPTH");
  const data = tick?.data;
  const options = LEVELS.filter((level) => level <= 50 || offered?.includes(level)).map((value) => ({
    value,
    label: String(value),
  }));
  const facts: [string, string][] = [
    ["Open", price(data?.open, exchange)],
    ["High", price(data?.high, exchange)],
    ["Low", price(data?.low, exchange)],
    ["Prev. close", price(data?.close, exchange)],
    ["Volume", compact(data?.volume)],
    ["Average", price(data?.average_price ?? data?.avg_trade_price, exchange)],
    ["Last quantity", integer(data?.last_quantity ?? data?.last_trade_quantity)],
    ["Last trade", tradeTime(data?.ltt, tick?.lastUpdate ?? 0)],
    ["Open interest", compact(data?.oi)],
  ];

  return (
    <>
      {refusal && <Failure>{refusal.message}</Failure>}
      <div className="depth-page">
        <Panel
          title={`${instrument.symbol} · ${exchange}`}
          tools={<Segmented label="Levels" value={requested} options={options} onChange={setPicked} />}
        >
          <DepthLadder
            depth={data?.depth}
            exchange={exchange}
            requested={requested}
            granted={client.grantedDepth(key)}
            stale={tick?.stale}
            totalBuy={data?.total_buy_quantity}
            totalSell={data?.total_sell_quantity}
          />
        </Panel>
        <div className="stack">
          <section className="panel depth-price" aria-label="Price">
            <strong className={tick?.stale ? "stale" : undefined}>
              <Flash value={data?.ltp} text={price(data?.ltp, exchange)} />
            </strong>
            <span className={tone(data?.change)}>
              {signed(data?.change, priceDigits(exchange))} ({percent(data?.change_percent)})
            </span>
            <dl className="depth-facts">
              {facts.map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </section>
          <Panel title="Cumulative depth">
            <DepthCurve depth={data?.depth} exchange={exchange} />
          </Panel>
        </div>
      </div>
    </>
  );
}

/** The levels that the broker offers for this instrument; null until known. */
function useOffered({ symbol, exchange }: Instrument): readonly number[] | null {
  const [levels, setLevels] = useState<readonly number[] | null>(null);
  useEffect(() => {
    const aborter = new AbortController();
    get<SymbolAnswer>(
      `/api/symbols?limit=5&exchange=${exchange}&q=${encodeURIComponent(symbol)}`,
      aborter.signal,
    ).then(
      ({ results }) => setLevels(results.find((found) => found.symbol === symbol)?.depth_levels ?? []),
      // The ladder works without: the server's answer to the subscription says what is given.
      () => setLevels(aborter.signal.aborted ? null : []),
    );
    return () => aborter.abort();
  }, [symbol, exchange]);
  return levels;
}
