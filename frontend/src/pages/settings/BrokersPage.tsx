/** All brokers: which one is the source of data, who is logged in where, and until when. */

import { useState } from "react";
import { Link } from "wouter";
import { failureText, post } from "../../api/client";
import { usePolled } from "../../api/polling";
import type { Broker, Brokers } from "../../api/types";
import { integer } from "../../format/numbers";
import { Button, Failure, Panel, Pill, Scroller } from "../../ui/controls";
import { TokenState } from "./TokenState";

export function BrokersPage() {
  const { data, error, reload } = usePolled<Brokers>("/api/brokers", 10_000);
  const [filter, setFilter] = useState("");
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const activate = async (broker: string, simulated: boolean): Promise<void> => {
    setBusy(true);
    setFailure(null);
    try {
      await post("/api/brokers/active", { broker, simulated });
      await reload();
    } catch (caught) {
      setFailure(failureText(caught));
    }
    setBusy(false);
  };

  if (!data) return error ? <Failure>{error}</Failure> : <div className="loading">Loading…</div>;
  const needle = filter.trim().toLowerCase();
  const shown = data.brokers.filter(({ name, title }) => `${name} ${title}`.toLowerCase().includes(needle));
  const blocked = busy || data.fixed !== null;
  const active = data.brokers.find(({ name }) => name === data.active?.broker);

  return (
    <>
      {(failure ?? error) && <Failure>{failure ?? error}</Failure>}
      <p className="notice">
        <span>
          {active ? (
            <>
              Prices come from{" "}
              <strong>{data.active?.simulated ? `the ${active.title} simulator` : active.title}</strong>.
            </>
          ) : (
            "No source of data is chosen yet. Log in to your broker, or start a simulator: it needs no keys."
          )}
          {data.fixed && <> {data.fixed}</>}
        </span>
      </p>
      <Panel
        title="Brokers"
        tools={
          <input
            className="input broker-filter"
            type="search"
            aria-label="Filter brokers"
            placeholder="Filter"
            value={filter}
            onChange={(event) => setFilter(event.target.value)}
          />
        }
      >
        <Scroller label="Brokers">
          <table className="table brokers-table">
            <thead>
              <tr>
                <th scope="col">Broker</th>
                <th scope="col" className="wide-only">
                  Login
                </th>
                <th scope="col" className="wide-only">
                  Depth
                </th>
                <th scope="col" className="num wide-only">
                  Symbols × connections
                </th>
                <th scope="col" className="wide-only">
                  Transport
                </th>
                <th scope="col">Source</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((broker) => (
                <tr key={broker.name}>
                  <td>
                    <Link href={`/settings/broker/${broker.name}`}>
                      <strong>{broker.title}</strong>
                    </Link>
                    {broker.session && (
                      <span className="narrow-only">
                        <TokenState session={broker.session} />
                      </span>
                    )}
                  </td>
                  <td className="wide-only">
                    <TokenState session={broker.session} />
                  </td>
                  <td className="wide-only">{deepest(broker)}</td>
                  <td className="num wide-only">
                    {integer(broker.symbols_per_connection)} × {broker.max_connections}
                  </td>
                  <td className="soft wide-only">{broker.transport}</td>
                  <td>
                    <Source broker={broker} active={data.active} blocked={blocked} activate={activate} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroller>
      </Panel>
    </>
  );
}

interface SourceProps {
  broker: Broker;
  active: Brokers["active"];
  blocked: boolean;
  activate: (broker: string, simulated: boolean) => Promise<void>;
}

function Source({ broker, active, blocked, activate }: SourceProps) {
  const mine = active?.broker === broker.name;
  const inUse = mine && !active.simulated;
  const usable = broker.session?.state === "valid" || broker.session?.state === "not tried";
  return (
    <span className="row sources">
      {inUse && <Pill tone="info">In use</Pill>}
      {usable && !inUse && (
        <Button small disabled={blocked} onClick={() => void activate(broker.name, false)}>
          Use<span className="visually-hidden"> {broker.title}</span>
        </Button>
      )}
      {!usable && (
        <Link className="button small" href={`/settings/broker/${broker.name}`}>
          Log in<span className="visually-hidden"> to {broker.title}</span>
        </Link>
      )}
      {broker.simulator &&
        (mine && active.simulated ? (
          <Pill tone="info">Simulator in use</Pill>
        ) : (
          <Button small look="quiet" disabled={blocked} onClick={() => void activate(broker.name, true)}>
            Simulate<span className="visually-hidden"> {broker.title}</span>
          </Button>
        ))}
    </span>
  );
}

/** The deepest book and where: "50 on NSE, NFO; else 5". */
function deepest({ depth }: Broker): string {
  const levels = Object.entries(depth).map(([exchange, offered]) => [exchange, Math.max(0, ...offered)] as const);
  const most = Math.max(0, ...levels.map(([, level]) => level));
  const where = levels.filter(([, level]) => level === most).map(([exchange]) => exchange);
  const rest = Math.max(0, ...levels.filter(([, level]) => level < most).map(([, level]) => level));
  return rest > 0 ? `${most} on ${where.join(", ")}; else ${rest}` : String(most);
}
