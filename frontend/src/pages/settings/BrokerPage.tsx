/** One broker: log in by the way that it wants, its token's expiry, its instrument list. */

import { useEffect, useState } from "react";
import { Link, useLocation, useSearch } from "wouter";
import { failureText, get, post, remove } from "../../api/client";
import { usePolled } from "../../api/polling";
import type { Broker, Brokers, LoginOutcome } from "../../api/types";
import { integer } from "../../format/numbers";
import { dateTime } from "../../format/time";
import { sentence } from "../../format/words";
import { Button, Failure, Panel } from "../../ui/controls";
import { FieldsForm } from "./FieldsForm";
import { LoggedIn } from "./LoggedIn";
import { LoginPanel } from "./LoginPanel";
import { TokenState } from "./TokenState";

export function BrokerPage({ name }: { name: string }) {
  const [polling, setPolling] = useState(0);
  const { data, error, reload } = usePolled<Brokers>("/api/brokers", polling);
  const broker = data?.brokers.find((one) => one.name === name);
  const outcome = useOutcome(name);
  const [last, setLast] = useState<"succeeded" | "tried" | null>(null);
  const updating = broker?.instruments.updating ?? false;
  useEffect(() => setPolling(updating ? 1000 : 0), [updating]);

  if (!data || !outcome) return error ? <Failure>{error}</Failure> : <div className="loading">Loading…</div>;
  if (!broker) {
    return (
      <Failure action={<Link href="/settings/broker">All brokers</Link>}>There is no broker called “{name}”.</Failure>
    );
  }
  const succeeded = last === "succeeded" || (last === null && outcome.state === "succeeded");
  const done = async (): Promise<void> => {
    setLast("succeeded");
    await reload();
  };
  return (
    <>
      <div className="page-head">
        <h2>{broker.title}</h2>
        <TokenState session={broker.session} />
        <Link href="/settings/broker">All brokers</Link>
      </div>
      {succeeded && <LoggedIn broker={broker} brokers={data} onChange={reload} />}
      {last === null && outcome.state === "failed" && <Failure>{sentence(outcome.message)}</Failure>}
      <div className="broker">
        <LoginPanel broker={broker} outcome={outcome} onTry={() => setLast("tried")} onDone={done} />
        <div className="stack">
          <SessionPanel broker={broker} onChange={reload} />
          <InstrumentsPanel broker={broker} onChange={reload} />
          <TokenPanel broker={broker} onDone={done} />
        </div>
      </div>
    </>
  );
}

/** How the login stands when the page is opened: after the broker's page, or as it was left. Null until it is known. */
function useOutcome(name: string): LoginOutcome | null {
  const [outcome, setOutcome] = useState<LoginOutcome | null>(null);
  const search = useSearch();
  const [returned] = useState(() => new URLSearchParams(search).get("login") === "done");
  const [, go] = useLocation();
  useEffect(() => {
    let shown = true;
    get<LoginOutcome>(`/api/brokers/${name}/login`)
      .catch((error: unknown): LoginOutcome => ({ state: "failed", message: failureText(error) }))
      .then((found) => {
        if (!shown) return;
        const ended = found.state === "succeeded" || found.state === "failed";
        setOutcome(ended && !returned ? { state: "none", message: "" } : found);
        if (returned) go(`/settings/broker/${name}`, { replace: true });
      });
    return () => {
      shown = false;
    };
  }, [returned, name, go]);
  return outcome;
}

function SessionPanel({ broker, onChange }: { broker: Broker; onChange: () => Promise<void> }) {
  const { session, remembered } = broker;
  const [failure, setFailure] = useState<string | null>(null);

  const forget = async (): Promise<void> => {
    setFailure(null);
    try {
      await remove(`/api/brokers/${broker.name}/session`);
      await onChange();
    } catch (caught) {
      setFailure(failureText(caught));
    }
  };

  return (
    <Panel
      title="Session"
      tools={
        (session || remembered.length > 0) && (
          <Button small look="danger" onClick={() => void forget()}>
            Forget token and keys
          </Button>
        )
      }
    >
      {failure && <Failure>{failure}</Failure>}
      <dl className="pairs">
        <dt>Account</dt>
        <dd>{session?.account ?? "–"}</dd>
        <dt>Logged in</dt>
        <dd>{session ? `${dateTime(session.created_at)} IST` : "–"}</dd>
        <dt>Token expires</dt>
        <dd>{expiry(session)}</dd>
        <dt>A token lives</dt>
        <dd>{broker.token_life}</dd>
        <dt>Stored, encrypted</dt>
        <dd>
          {remembered.length > 0
            ? remembered.map((name) => broker.fields.find((one) => one.name === name)?.label ?? name).join(", ")
            : "nothing"}
        </dd>
      </dl>
    </Panel>
  );
}

function expiry(session: Broker["session"]): string {
  if (!session) return "–";
  return session.expires_at === null ? "the broker does not say" : `${dateTime(session.expires_at)} IST`;
}

function InstrumentsPanel({ broker, onChange }: { broker: Broker; onChange: () => Promise<void> }) {
  const { count, updated_at, updating, message } = broker.instruments;
  const [failure, setFailure] = useState<string | null>(null);

  const update = async (): Promise<void> => {
    setFailure(null);
    try {
      await post(`/api/brokers/${broker.name}/instruments`);
      await onChange();
    } catch (caught) {
      setFailure(failureText(caught));
    }
  };

  return (
    <Panel
      title="Instruments"
      tools={
        <Button small disabled={updating} onClick={() => void update()}>
          {updating ? "Downloading…" : count > 0 ? "Update" : "Download"}
        </Button>
      }
    >
      {(failure || message) && <Failure>{failure ?? sentence(message)}</Failure>}
      <dl className="pairs" aria-live="polite">
        <dt>Instruments</dt>
        <dd>{count > 0 ? integer(count) : "none yet"}</dd>
        <dt>Updated</dt>
        <dd>{updated_at === null ? "–" : `${dateTime(updated_at)} IST`}</dd>
      </dl>
    </Panel>
  );
}

function TokenPanel({ broker, onDone }: { broker: Broker; onDone: () => Promise<void> }) {
  if (broker.token_fields.length === 0) return null;
  const store = async (values: Record<string, string>): Promise<void> => {
    await post(`/api/brokers/${broker.name}/token`, { values });
    await onDone();
  };
  return (
    <Panel title="Use a token from elsewhere">
      <div className="panel-body">
        <FieldsForm fields={broker.token_fields} remembered={[]} submit="Store the token" onSubmit={store} />
      </div>
    </Panel>
  );
}
