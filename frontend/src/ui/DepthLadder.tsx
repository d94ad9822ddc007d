/** An order book, best level first: bids on the left, offers on the right, bars by quantity. */

import { type CSSProperties, memo } from "react";
import { compact, integer, price, priceDigits, signed } from "../format/numbers";
import type { Depth, DepthLevel } from "../market/types";
import "./ladder.css";

interface Props {
  depth: Depth | undefined;
  exchange: string;
  /** Levels that were asked for, and those that the server said it sends (null: it has not said). */
  requested: number;
  granted: number | null;
  stale?: boolean | undefined;
  totalBuy?: number | undefined;
  totalSell?: number | undefined;
}

export function DepthLadder({ depth, exchange, requested, granted, stale, totalBuy, totalSell }: Props) {
  const buy = depth?.buy ?? [];
  const sell = depth?.sell ?? [];
  const rows = Math.max(buy.length, sell.length);
  const most = Math.max(1, ...buy.map(({ quantity }) => quantity), ...sell.map(({ quantity }) => quantity));
  const bid = buy[0]?.price;
  const ask = sell[0]?.price;
  const bids = totalBuy ?? (buy.length ? sum(buy) : undefined);
  const offers = totalSell ?? (sell.length ? sum(sell) : undefined);
  const share =
    bids !== undefined && offers !== undefined && bids + offers > 0 ? (100 * bids) / (bids + offers) : null;

  return (
    <div className={stale ? "ladder is-stale" : "ladder"}>
      <p className="ladder-levels">{levelsText(requested, granted, rows)}</p>
      <div className="ladder-sum">
        <span className="up">{compact(bids)} bid</span>
        <span className="soft">
          spread {bid !== undefined && ask !== undefined ? spreadText(ask - bid, exchange) : "–"}
        </span>
        <span className="down">{compact(offers)} offered</span>
      </div>
      <div className="ladder-balance" aria-hidden="true">
        <span style={{ width: `${share ?? 50}%` }} />
      </div>
      {rows === 0 ? (
        <p className="ladder-empty soft">No book yet.</p>
      ) : (
        <table className="ladder-table tabular">
          <caption className="visually-hidden">Order book</caption>
          <thead>
            <tr>
              <th scope="col" className="orders">
                Orders
              </th>
              <th scope="col">Quantity</th>
              <th scope="col">Bid</th>
              <th scope="col">Offer</th>
              <th scope="col">Quantity</th>
              <th scope="col" className="orders">
                Orders
              </th>
            </tr>
          </thead>
          <tbody>
            {Array.from({ length: rows }, (_, index) => (
              <Row
                // biome-ignore lint/suspicious/noArrayIndexKey: a row is its rank in the book
                key={index}
                exchange={exchange}
                most={most}
                bid={buy[index]?.price}
                bidQuantity={buy[index]?.quantity}
                bidOrders={buy[index]?.orders}
                ask={sell[index]?.price}
                askQuantity={sell[index]?.quantity}
                askOrders={sell[index]?.orders}
              />
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

interface RowProps {
  exchange: string;
  most: number;
  bid: number | undefined;
  bidQuantity: number | undefined;
  bidOrders: number | undefined;
  ask: number | undefined;
  askQuantity: number | undefined;
  askOrders: number | undefined;
}

const Row = memo(function Row({
  exchange,
  most,
  bid,
  bidQuantity,
  bidOrders,
  ask,
  askQuantity,
  askOrders,
}: RowProps) {
  const bars = { "--bid": share(bidQuantity, most), "--ask": share(askQuantity, most) } as CSSProperties;
  return (
    <tr style={bars}>
      <td className="orders">{integer(bidOrders)}</td>
      <td>{integer(bidQuantity)}</td>
      <td className="up price">{price(bid, exchange)}</td>
      <td className="down price">{price(ask, exchange)}</td>
      <td>{integer(askQuantity)}</td>
      <td className="orders">{integer(askOrders)}</td>
    </tr>
  );
});

/** The length of a bar: a share of half the width. */
function share(quantity: number | undefined, most: number): string {
  return `${(50 * (quantity ?? 0)) / most}%`;
}

export function levelsText(requested: number, granted: number | null, received: number): string {
  if (granted === null) return received ? `${received} levels received` : `${requested} levels requested`;
  const given = `The broker gives ${granted} levels`;
  const less = granted < requested ? ` of the ${requested} requested` : "";
  return `${given}${less}; ${received} ${received === 1 ? "is" : "are"} in the book now.`;
}

function spreadText(spread: number, exchange: string): string {
  return signed(spread, priceDigits(exchange)).replace("+", "");
}

function sum(levels: readonly DepthLevel[]): number {
  return levels.reduce((total, { quantity }) => total + quantity, 0);
}
