/** After the account: where data is to come from. */

import { useState } from "react";
import { Link, useLocation } from "wouter";
import { failureText, post } from "../api/client";
import { usePolled } from "../api/polling";
import type { Brokers } from "../api/types";
import { Button, Failure } from "../ui/controls";
import { SetupSteps } from "./Setup";

export default function Start() {
  const [, go] = useLocation();
  const { data, error } = usePolled<Brokers>("/api/brokers");
  const [broker, setBroker] = useState("");
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const simulated = data?.brokers.filter(({ simulator }) => simulator) ?? [];
  const chosen = data?.brokers.find(({ name }) => name === broker) ?? data?.brokers[0];

  const simulate = async (): Promise<void> => {
    const name = simulated.find((one) => one.name === "zerodha")?.name ?? simulated[0]?.name;
    setBusy(true);
    try {
      await post("/api/brokers/active", { broker: name, simulated: true });
      go("/watchlist");
    } catch (caught) {
      setFailure(failureText(caught));
      setBusy(false);
    }
  };

  return (
    <main className="gate">
      <span className="brand">
        <img src="/icon.svg" alt="" />
        tickmux
      </span>
      <SetupSteps now={1} />
      <div className="card wide">
        <h1>Where should prices come from?</h1>
        {(failure ?? error) && <Failure>{failure ?? error}</Failure>}
        {data?.fixed ? (
          <Fixed reason={data.fixed} />
        ) : (
          <>
            <div className="choices">
              <section className="choice" aria-labelledby="use-simulator">
                <div>
                  <h2 id="use-simulator">The simulator</h2>
                  <p>
                    A made-up exchange with hundreds of instruments and full books. Needs no keys and works on a
                    Sunday.
                  </p>
                </div>
                <Button look="primary" disabled={busy || simulated.length === 0} onClick={() => void simulate()}>
                  Start the simulator
                </Button>
              </section>
              <section className="choice" aria-labelledby="use-broker">
                <div className="stack">
                  <div>
                    <h2 id="use-broker">My broker</h2>
                    <p>Live prices with your own API keys. They stay on this server, encrypted.</p>
                  </div>
                  <select
                    className="input"
                    aria-label="Broker"
                    value={chosen?.name ?? ""}
                    onChange={(event) => setBroker(event.target.value)}
                  >
                    {data?.brokers.map(({ name, title }) => (
                      <option key={name} value={name}>
                        {title}
                      </option>
                    ))}
                  </select>
                </div>
                <Button
                  look="primary"
                  disabled={!chosen}
                  onClick={() => chosen && go(`/settings/broker/${chosen.name}`)}
                >
                  Continue
                </Button>
              </section>
            </div>
            <p>
              <Link href="/">Decide later</Link>
            </p>
          </>
        )}
      </div>
    </main>
  );
}

/** The server was started with a source: there is nothing to choose. */
function Fixed({ reason }: { reason: string }) {
  return (
    <>
      <p className="notice">{reason}</p>
      <Link className="button primary" href="/watchlist">
        Open the watchlist
      </Link>
    </>
  );
}
