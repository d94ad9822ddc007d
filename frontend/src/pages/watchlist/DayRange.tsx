/** Where the price stands between the day's low and high. */

import { memo } from "react";
import { price } from "../../format/numbers";

interface Props {
  low: number | undefined;
  high: number | undefined;
  ltp: number | undefined;
  open: number | undefined;
  exchange: string;
}

export const DayRange = memo(function DayRange({ low, high, ltp, open, exchange }: Props) {
  if (low === undefined || high === undefined || ltp === undefined) return <span className="faint">–</span>;
  const at = (value: number): string =>
    `${high > low ? Math.min(100, Math.max(0, ((value - low) / (high - low)) * 100)) : 50}%`;
  return (
    <span className="day-range">
      <small>{price(low, exchange)}</small>
      <span className="track" aria-hidden="true">
        {open !== undefined && <i className="open" style={{ left: at(open) }} />}
        <i className="now" style={{ left: at(ltp) }} />
      </span>
      <small>{price(high, exchange)}</small>
    </span>
  );
});
