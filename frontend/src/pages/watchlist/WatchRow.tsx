/** One instrument in the list. It renders when its own tick changed, at most once a frame, whatever the others do. */

import { memo, useRef } from "react";
import { Sparkline } from "../../charts/Sparkline";
import { compact, percent, price, priceDigits, signed } from "../../format/numbers";
import { tradeTime } from "../../format/time";
import { useClientState, useTick } from "../../hooks/useMarketData";
import { sharedClient } from "../../market/shared";
import { type Instrument, instrumentKey } from "../../market/types";
import { Button } from "../../ui/controls";
import { Icon } from "../../ui/icons";
import { Flash, tone } from "../../ui/Live";
import { useOnScreen } from "../../ui/useOnScreen";
import { DayRange } from "./DayRange";
import { recorder } from "./recorder";

interface Handlers {
  choose: (instrument: Instrument) => void;
  remove: (instrument: Instrument) => void;
  move: (from: Instrument, step: number) => void;
}

interface Props extends Instrument {
  selected: boolean;
  handlers: Handlers;
}

const NO_POINTS: readonly number[] = [];
/** What the eye does not follow tick by tick is drawn four times a second. */
const SLOW = 250;

export const WatchRow = memo(function WatchRow({ symbol, exchange, selected, handlers }: Props) {
  const instrument = { symbol, exchange };
  const row = useRef<HTMLTableRowElement>(null);
  const visible = useOnScreen(row);
  const key = instrumentKey(instrument);
  useClientState();
  const refusal = sharedClient().error(key, "QUOTE");

  return (
    <tr ref={row} className={selected ? "selected" : undefined} onClick={() => handlers.choose(instrument)}>
      <td>
        <button
          type="button"
          className="pick"
          data-key={key}
          aria-pressed={selected}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") handlers.move(instrument, 1);
            else if (event.key === "ArrowUp") handlers.move(instrument, -1);
            else if (event.key === "Delete") handlers.remove(instrument);
            else return;
            event.preventDefault();
          }}
        >
          <strong>{symbol}</strong>
          <span className="tag">{exchange}</span>
        </button>
      </td>
      {refusal ? (
        <>
          <td colSpan={2} className="refusal">
            {refusal.message}
          </td>
          <td className="w-line" />
          <td className="w-range" />
          <td className="w-volume" />
          <td className="w-trade" />
        </>
      ) : (
        <>
          <PriceCells symbol={symbol} exchange={exchange} visible={visible} />
          <DayCells symbol={symbol} exchange={exchange} visible={visible} />
        </>
      )}
      <td className="num">
        <Button
          look="quiet"
          small
          icon
          aria-label={`Remove ${symbol}`}
          onClick={(event) => {
            event.stopPropagation();
            handlers.remove(instrument);
          }}
        >
          <Icon name="close" />
        </Button>
      </td>
    </tr>
  );
});

interface CellsProps extends Instrument {
  visible: boolean;
}

const PriceCells = memo(function PriceCells({ symbol, exchange, visible }: CellsProps) {
  const tick = useTick({ symbol, exchange }, "QUOTE", { paused: !visible });
  const data = tick?.data;
  const stale = tick?.stale ?? false;
  return (
    <>
      <td className={stale ? "num ltp stale" : "num ltp"} title={stale ? "May be out of date" : undefined}>
        <span className="boxed">
          <Flash value={data?.ltp} text={price(data?.ltp, exchange)} />
        </span>
      </td>
      <td className={`num change ${tone(data?.change)}${stale ? " stale" : ""}`}>
        <span className="boxed">
          {signed(data?.change, priceDigits(exchange))}
          <small>{percent(data?.change_percent)}</small>
        </span>
      </td>
    </>
  );
});

const DayCells = memo(function DayCells({ symbol, exchange, visible }: CellsProps) {
  const instrument = { symbol, exchange };
  const tick = useTick(instrument, "QUOTE", { paused: !visible, every: SLOW });
  const { data, lastUpdate = 0 } = tick ?? {};
  const line = recorder.get(instrumentKey(instrument))?.line ?? NO_POINTS;
  return (
    <>
      <td className="w-line">
        <Sparkline
          points={line}
          version={Math.floor(lastUpdate / 1000)}
          label={`${symbol}, the last three minutes`}
        />
      </td>
      <td className="w-range">
        <DayRange low={data?.low} high={data?.high} ltp={data?.ltp} open={data?.open} exchange={exchange} />
      </td>
      <td className="num w-volume">
        <span className="boxed">{compact(data?.volume)}</span>
      </td>
      <td className="num w-trade faint">
        <span className="boxed">{tradeTime(data?.ltt, lastUpdate)}</span>
      </td>
    </>
  );
});
