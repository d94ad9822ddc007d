/** One broker's feed: its state, its connections × symbols, its counters. */

import { Link } from "wouter";
import type { Feed } from "../../api/types";
import { bytes, compact, integer, milliseconds } from "../../format/numbers";
import { dateTime, duration, elapsed } from "../../format/time";
import { sentence } from "../../format/words";
import { Meter, Panel, Pill, Scroller } from "../../ui/controls";
import { FEED_STATES } from "../../ui/feedState";

const IDLE = { label: "Idle", tone: "plain" } as const;
const NOTICES: Readonly<Record<string, string>> = { bad: "notice bad", warn: "notice warn" };

export function FeedPanel({ feed, now }: { feed: Feed; now: number }) {
  // Nobody has asked for anything yet: a feed that waits for its first subscription is in no trouble.
  const idle = feed.state === "connecting" && feed.symbols === 0 && feed.connections.length === 0;
  const { label, tone } = idle ? IDLE : FEED_STATES[feed.state];
  const name = feed.simulated ? `${feed.title} simulator` : feed.title;
  return (
    <Panel
      title={
        <>
          {name} {feed.account && <span className="tag">{feed.account}</span>}
        </>
      }
      tools={
        <>
          {feed.market_open !== null && (
            <small className="faint">{feed.market_open ? "Market open" : "Market closed"}</small>
          )}
          <Pill tone={tone}>
            {label} · {duration(now - feed.since)}
          </Pill>
        </>
      }
    >
      {feed.message && (
        <div className={`${NOTICES[tone] ?? "notice"} feed-message`}>
          <span>{sentence(feed.message)}</span>
          {feed.state === "auth_expired" && (
            <Link className="button small" href={`/settings/broker/${feed.broker}`}>
              Log in
            </Link>
          )}
        </div>
      )}
      <div className="feed">
        <dl className="facts">
          <Fact name="Last tick" value={lastTick(feed, now)} />
          <Fact
            name="Latency p50 / p99"
            value={
              feed.latency_ms ? `${milliseconds(feed.latency_ms.p50)} / ${milliseconds(feed.latency_ms.p99)}` : "–"
            }
          />
          <Fact name="Ticks" value={compact(feed.ticks)} />
          <Fact name="Frames" value={compact(feed.frames)} />
          <Fact name="Received" value={bytes(feed.bytes)} />
          <Fact name="Reconnects" value={integer(feed.reconnects)} />
          <Fact name="Dropped" value={integer(feed.drops)} bad={(feed.drops ?? 0) > 0} />
          <Fact name="Decode errors" value={integer(feed.decode_errors)} bad={(feed.decode_errors ?? 0) > 0} />
          <Fact name="Unknown frames" value={integer(feed.unknown_frames)} />
          <Fact
            name="Token expires"
            value={feed.token_expires_at === null ? "–" : dateTime(feed.token_expires_at)}
            bad={feed.token_expires_at !== null && feed.token_expires_at < now}
          />
        </dl>
        {feed.connections.length > 0 || feed.max_connections ? <Connections feed={feed} now={now} /> : null}
      </div>
    </Panel>
  );
}

function lastTick({ last_tick, ticks }: Feed, now: number): string {
  if (last_tick !== null) return `${milliseconds(Math.max(0, now - last_tick))} ago`;
  return ticks ? "–" : "none yet";
}

function Fact({ name, value, bad }: { name: string; value: string; bad?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className={bad ? "down" : undefined}>{value}</dd>
    </div>
  );
}

function Connections({ feed, now }: { feed: Feed; now: number }) {
  const { connections, max_connections: slots, symbols, max_symbols: capacity } = feed;
  return (
    <Scroller label="Connections">
      <table className="table connections tabular">
        <caption>
          {connections.length} of {integer(slots ?? connections.length)} connections · {integer(symbols)} of{" "}
          {integer(capacity)} symbols
        </caption>
        <thead>
          <tr>
            <th scope="col">Connection</th>
            <th scope="col">State</th>
            <th scope="col">Symbols</th>
            <th scope="col" className="num">
              Reconnects
            </th>
            <th scope="col" className="num">
              Last frame
            </th>
            <th scope="col" className="num">
              Since
            </th>
          </tr>
        </thead>
        <tbody>
          {connections.map((connection) => (
            <tr key={connection.id}>
              <td>{connection.id}</td>
              <td>
                <Pill tone={FEED_STATES[connection.state].tone}>{FEED_STATES[connection.state].label}</Pill>
              </td>
              <td className="load">
                <span>
                  {integer(connection.symbols)} / {integer(connection.max_symbols)}
                </span>
                <Meter
                  value={connection.symbols}
                  max={connection.max_symbols}
                  label={`Symbols of ${connection.id}`}
                />
              </td>
              <td className="num">{integer(connection.reconnects)}</td>
              <td className="num">
                {connection.last_frame === null
                  ? "–"
                  : `${milliseconds(Math.max(0, now - connection.last_frame))} ago`}
              </td>
              <td className="num">{duration(elapsed(now, connection.since))}</td>
            </tr>
          ))}
          {Array.from({ length: Math.max(0, (slots ?? 0) - connections.length) }, (_, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: free places are all alike
            <tr key={index} className="faint">
              <td>free</td>
              <td colSpan={5}>opens when it is needed</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroller>
  );
}
