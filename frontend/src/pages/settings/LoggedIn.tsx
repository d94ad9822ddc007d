/** After a login: whether prices come from that broker now, and the way to have them from there. */

import { useState } from "react";
import { Link } from "wouter";
import { failureText, post } from "../../api/client";
import type { Broker, Brokers } from "../../api/types";
import { Button, Failure } from "../../ui/controls";

interface LoggedInProps {
  broker: Broker;
  brokers: Brokers;
  onChange: () => Promise<void>;
}

export function LoggedIn({ broker, brokers, onChange }: LoggedInProps) {
  const [failure, setFailure] = useState<string | null>(null);
  const { active, fixed } = brokers;
  const inUse = active?.broker === broker.name && !active.simulated;

  const use = async (): Promise<void> => {
    setFailure(null);
    try {
      await post("/api/brokers/active", { broker: broker.name, simulated: false });
      await onChange();
    } catch (caught) {
      setFailure(failureText(caught));
    }
  };

  return (
    <>
      {failure && <Failure>{failure}</Failure>}
      <p className="notice good" role="status">
        <span>
          Logged in to {broker.title}.{" "}
          {inUse ? "Its feed starts by itself." : (fixed ?? `Prices come from ${sourceTitle(brokers)}.`)}
        </span>
        {inUse && <Link href="/watchlist">Open the watchlist</Link>}
        {!inUse && !fixed && (
          <Button small look="primary" onClick={() => void use()}>
            Use {broker.title}
          </Button>
        )}
      </p>
    </>
  );
}

function sourceTitle({ active, brokers }: Brokers): string {
  if (!active) return "nowhere yet";
  const title = brokers.find(({ name }) => name === active.broker)?.title ?? active.broker;
  return active.simulated ? `the ${title} simulator` : title;
}
