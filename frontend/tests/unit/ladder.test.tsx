// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import { DepthLadder } from "../../src/ui/DepthLadder";

afterEach(cleanup);

const book = (bid: number, ask: number) => ({
  buy: [{ price: bid, quantity: 10, orders: 1 }],
  sell: [{ price: ask, quantity: 20, orders: 2 }],
});

test.each([
  ["CDS", 87.15, 87.1525, "spread 0.0025"],
  ["NSE", 807.45, 807.5, "spread 0.05"],
  ["NSE", 807.5, 807.45, "spread −0.05"],
])("the spread on %s has the digits of its prices", (exchange, bid, ask, text) => {
  render(<DepthLadder depth={book(bid, ask)} exchange={exchange} requested={5} granted={5} />);
  expect(screen.getByText(text)).toBeTruthy();
});

test("the sums are of the book where the feed gives no totals, and of the day where it does", () => {
  const { rerender } = render(<DepthLadder depth={book(1, 2)} exchange="NSE" requested={5} granted={5} />);
  expect(screen.getByText("10 bid")).toBeTruthy();
  rerender(<DepthLadder depth={book(1, 2)} exchange="NSE" requested={5} granted={5} totalBuy={1_234_567} />);
  expect(screen.getByText("12.35 L bid")).toBeTruthy();
});
