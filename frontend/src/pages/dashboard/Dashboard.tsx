/** Whether data flows, how much and how fresh: the feeds upstream, the proxy, its clients. */

import { useEffect, useState } from "react";
import { Link } from "wouter";
import { usePolled } from "../../api/polling";
import type { Feeds, ProxyClient } from "../../api/types";
import { type Series, TimeSeries } from "../../charts/TimeSeries";
import { bytes, compact, decimal, integer, milliseconds } from "../../format/numbers";
import { clock, duration, elapsed } from "../../format/time";
import { Failure, Panel, Scroller } from "../../ui/controls";
import { FeedPanel } from "./FeedPanel";
import { EMPTY, observe, span, type Telemetry, total } from "./telemetry";
import "./dashboard.css";

/** Outlives the page, so that coming back finds the lines as they were left. */
let kept: Telemetry = EMPTY;

const TICKS: readonly Series[] = [{ name: "ticks/s", colour: "accent", fill: true }];
const MESSAGES: readonly Series[] = [{ name: "messages/s", colour: "up", fill: true }];
const LATENCY: readonly Series[] = [
  { name: "p50", colour: "accent" },
  { name: "p99", colour: "warn" },
];

/** The marks of an idle feed lie between whole numbers. */
const rate = (value: number): string => (value < 10 && !Number.isInteger(value) ? decimal(value, 1) : compact(value));

export default function Dashboard() {
  const { data, error } = usePolled<Feeds>("/api/feeds", 1000);
  const [telemetry, setTelemetry] = useState(kept);

  useEffect(() => {
    if (!data) return;
    kept = observe(kept, data);
    setTelemetry(kept);
  }, [data]);

  const { last, rates } = telemetry;
  if (!last) {
    return (
      <>
        <h1>Dashboard</h1>
        {error ? (
          <Failure>{error}</Failure>
        ) : (
          <div className="loading" role="status">
            Loading…
          </div>
        )}
      </>
    );
  }
  const { proxy, feeds } = last;
  const latency = feeds.map(({ latency_ms }) => latency_ms).find((value) => value !== null) ?? null;
  const drops = total(feeds.map((feed) => feed.drops)) ?? 0;

  return (
    <>
      <div className="page-head">
        <h1>Dashboard</h1>
        <p>
          Proxy up {duration(last.server_time - proxy.started_at)} at <code>{proxy.url}</code>
        </p>
      </div>
      {error && (
        <Failure>
          {error} The numbers below are of {clock(last.server_time)} IST.
        </Failure>
      )}
      <dl className="stats">
        <Stat name="Ticks in" value={rates.ticks === null ? "–" : integer(rates.ticks)} unit="/s" />
        <Stat
          name="Messages out"
          value={rates.messages === null ? "–" : integer(rates.messages)}
          unit="/s"
          note={rates.bytes === null ? "" : `${bytes(rates.bytes)}/s`}
        />
        <Stat
          name="Broker → client"
          value={milliseconds(latency?.p50)}
          note={latency ? `p99 ${milliseconds(latency.p99)}` : "median"}
        />
        <Stat
          name="Instruments"
          value={integer(proxy.instruments)}
          note={`${integer(proxy.subscriptions)} subscriptions`}
        />
        <Stat name="Clients" value={integer(proxy.clients)} note={`${integer(proxy.clients_total)} since start`} />
        <Stat name="Reconnects" value={integer(total(feeds.map((feed) => feed.reconnects)))} note="upstream" />
        <Stat name="Dropped" value={compact(drops)} note={`${compact(proxy.conflated)} conflated`} bad={drops > 0} />
      </dl>
      <div className="charts">
        <Panel title="Ticks from the broker" tools={<small className="faint">per second</small>}>
          <TimeSeries
            samples={telemetry.ticks}
            series={TICKS}
            span={span(telemetry.ticks)}
            format={rate}
            label={`Ticks per second, now ${integer(rates.ticks)}`}
          />
        </Panel>
        <Panel title="Latency, broker → client" tools={<Legend series={LATENCY} />}>
          <TimeSeries
            samples={telemetry.latency}
            series={LATENCY}
            span={span(telemetry.ticks)}
            format={milliseconds}
            label={`Latency, median now ${milliseconds(latency?.p50)}`}
          />
        </Panel>
        <Panel title="Messages to clients" tools={<small className="faint">per second</small>}>
          <TimeSeries
            samples={telemetry.messages}
            series={MESSAGES}
            span={span(telemetry.ticks)}
            format={rate}
            label={`Messages per second, now ${integer(rates.messages)}`}
          />
        </Panel>
      </div>
      {feeds.length === 0 && (
        <div className="panel empty">
          <h2>No feed yet</h2>
          <p>Choose the simulator or log in to your broker, and data starts to flow.</p>
          <Link className="button primary" href="/settings/broker">
            Choose a source
          </Link>
        </div>
      )}
      {feeds.map((feed) => (
        <FeedPanel key={`${feed.broker} ${feed.account}`} feed={feed} now={last.server_time} />
      ))}
      <Clients clients={proxy.clients_detail} count={proxy.clients} now={last.server_time} />
    </>
  );
}

function Stat({
  name,
  value,
  unit,
  note,
  bad,
}: {
  name: string;
  value: string;
  unit?: string;
  note?: string;
  bad?: boolean;
}) {
  return (
    <div className="stat">
      <dt>{name}</dt>
      <dd className={bad ? "down" : undefined}>
        {value}
        {unit && <small>{unit}</small>}
      </dd>
      <dd className="note">{note}</dd>
    </div>
  );
}

function Legend({ series }: { series: readonly Series[] }) {
  return (
    <span className="legend">
      {series.map(({ name, colour }) => (
        <span key={name}>
          <i style={{ background: `var(--${colour})` }} />
          {name}
        </span>
      ))}
    </span>
  );
}

function Clients({ clients, count, now }: { clients: ProxyClient[]; count: number; now: number }) {
  return (
    <Panel
      title="Clients"
      tools={
        <small className="faint">
          {clients.length < count
            ? `the busiest ${clients.length} of ${integer(count)}`
            : `${integer(count)} connected`}
        </small>
      }
    >
      {clients.length === 0 ? (
        <p className="panel-body soft">
          Nobody is connected. Make a key under <Link href="/settings/keys">API keys</Link> and connect a program, or
          open the <Link href="/watchlist">watchlist</Link>.
        </p>
      ) : (
        <Scroller label="Clients">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Client</th>
                <th scope="col">User</th>
                <th scope="col" className="num">
                  Connected for
                </th>
                <th scope="col" className="num">
                  Subscriptions
                </th>
                <th scope="col" className="num">
                  Messages
                </th>
                <th scope="col" className="num">
                  Behind
                </th>
                <th scope="col" className="num">
                  Waiting
                </th>
              </tr>
            </thead>
            <tbody>
              {clients.map((client) => (
                <tr key={client.id}>
                  <td>#{client.id}</td>
                  <td>{client.user}</td>
                  <td className="num">{duration(elapsed(now, client.since))}</td>
                  <td className="num">{integer(client.subscriptions)}</td>
                  <td className="num">{compact(client.messages)}</td>
                  <td
                    className={client.behind > 0 ? "num down" : "num"}
                    title="Messages missed since it reads too slowly; it gets the newest of each subscription"
                  >
                    {compact(client.behind)}
                  </td>
                  <td className="num">{bytes(client.buffered_bytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
      )}
    </Panel>
  );
}
