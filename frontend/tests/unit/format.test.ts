import { describe, expect, test } from "vitest";
import { bytes, compact, integer, milliseconds, percent, price, signed } from "../../src/format/numbers";
import { clock, dateTime, duration, preciseClock, tradeTime } from "../../src/format/time";

describe("numbers", () => {
  test("groups are those of India", () => {
    expect(integer(123456789)).toBe("12,34,56,789");
    expect(price(142380)).toBe("1,42,380.00");
  });

  test("lakh and crore", () => {
    expect([4321, 99_999, 1_234_567, 12_345_678, 1_234_567_890].map(compact)).toEqual([
      "4,321",
      "99,999",
      "12.35 L",
      "1.23 Cr",
      "123.5 Cr",
    ]);
  });

  test("currencies have four digits, crypto as many as it needs", () => {
    expect(price(87.4125, "CDS")).toBe("87.4125");
    expect(price(0.00001234, "CRYPTO")).toBe("0.00001234");
    expect(price(625.5, "NSE")).toBe("625.50");
  });

  test("what is not known is a dash, and zero is zero", () => {
    expect([
      price(undefined),
      integer(null),
      percent(undefined),
      compact(null),
      bytes(null),
      milliseconds(null),
    ]).toEqual(Array(6).fill("–"));
    expect([price(0), integer(0), percent(0)]).toEqual(["0.00", "0", "0.00%"]);
  });

  test("gains and losses carry their sign", () => {
    expect([signed(1.5), signed(-1.5), signed(0), percent(-0.27)]).toEqual(["+1.50", "−1.50", "0.00", "−0.27%"]);
  });

  test("sizes and latencies have the unit that fits", () => {
    expect([bytes(999), bytes(1430), bytes(975_000_000)]).toEqual(["999 B", "1.4 kB", "975 MB"]);
    expect([milliseconds(0.42), milliseconds(12), milliseconds(240), milliseconds(1234)]).toEqual([
      "0.42 ms",
      "12.0 ms",
      "240 ms",
      "1.2 s",
    ]);
  });
});

describe("times", () => {
  const AT = Date.UTC(2026, 1, 4, 20, 30, 5, 123);

  test("are those of India, whatever the machine's zone", () => {
    expect(clock(AT)).toBe("02:00:05");
    expect(preciseClock(AT)).toBe("02:00:05.123");
    expect(dateTime(AT)).toBe("05 Feb 2026, 02:00");
  });

  test("midnight is 00, not 24", () => {
    expect(clock(Date.UTC(2026, 1, 4, 18, 30, 0))).toBe("00:00:00");
  });

  test("a trade of another day shows its day", () => {
    expect(tradeTime(AT, AT + 60_000)).toBe("02:00:05");
    expect(tradeTime(AT, AT + 86_400_000)).toBe("05 Feb");
    expect(tradeTime(AT, AT + 365 * 86_400_000)).toBe("05 Feb");
    expect(tradeTime(undefined, AT)).toBe("–");
  });

  test("durations", () => {
    expect([900, 59_000, 60_000, 3_600_000, 12_000_000, 90_000_000].map(duration)).toEqual([
      "0 s",
      "59 s",
      "1 min",
      "1 h",
      "3 h 20 min",
      "1 d 1 h",
    ]);
  });
});
