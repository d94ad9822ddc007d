/** Numbers as India writes them: 12,34,567.89; lakh and crore for what is large. Unknown is a dash, never 0. */

export const UNKNOWN = "–";

const plain = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 0 });
const fixed = [0, 1, 2, 3, 4].map(
  (digits) => new Intl.NumberFormat("en-IN", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);
const crypto = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 8 });

type Maybe = number | null | undefined;

/** Currency pairs trade in quarters of a paisa, crypto in anything. */
export function priceDigits(exchange: string): number {
  return exchange.startsWith("CDS") || exchange === "BCD" ? 4 : 2;
}

export function price(value: Maybe, exchange = "NSE"): string {
  if (value == null) return UNKNOWN;
  return (exchange === "CRYPTO" ? crypto : (fixed[priceDigits(exchange)] ?? plain)).format(value);
}

export function integer(value: Maybe): string {
  return value == null ? UNKNOWN : plain.format(value);
}

export function decimal(value: Maybe, digits = 2): string {
  return value == null ? UNKNOWN : (fixed[digits] ?? plain).format(value);
}

/** With its sign, so that colour is not all that tells a gain from a loss. */
export function signed(value: Maybe, digits = 2): string {
  if (value == null) return UNKNOWN;
  const text = decimal(Math.abs(value), digits);
  return value > 0 ? `+${text}` : value < 0 ? `−${text}` : text;
}

export function percent(value: Maybe): string {
  return value == null ? UNKNOWN : `${signed(value)}%`;
}

/** 4,321 · 12.35 L · 1.24 Cr */
export function compact(value: Maybe): string {
  if (value == null) return UNKNOWN;
  const size = Math.abs(value);
  if (size >= 1e7) return `${decimal(value / 1e7, size >= 1e9 ? 1 : 2)} Cr`;
  if (size >= 1e5) return `${decimal(value / 1e5, 2)} L`;
  return plain.format(value);
}

export function bytes(value: Maybe): string {
  if (value == null) return UNKNOWN;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${decimal(size, unit === 0 || size >= 100 ? 0 : 1)} ${units[unit]}`;
}

/** 0.42 ms · 12 ms · 1.2 s */
export function milliseconds(value: Maybe): string {
  if (value == null) return UNKNOWN;
  if (value >= 1000) return `${decimal(value / 1000, 1)} s`;
  return `${decimal(value, value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}
