/** One broker: log in by the way that it wants, its token's expiry, its instrument list. */

import { type FormEvent, useEffect, useState } from "react";
import { Link, useLocation, useSearch } from "wouter";
import { ApiError, failureText, get, post, remove } from "../../api/client";
import { usePolled } from "../../api/polling";
import type { Broker, Brokers, LoginField, LoginOutcome, LoginStart } from "../../api/types";
import { integer } from "../../format/numbers";
import { dateTime } from "../../format/time";
import { Button, Failure, Field, Panel } from "../../ui/controls";
import { CopyButton } from "./CopyButton";
import { TokenState } from "./TokenState";

const WAYS = {
  redirect: "You log in on the broker’s own page, which then leads back here.",
  totp: "A one-time password confirms the login; no other page is opened.",
  keys: "The API keys alone make a session.",
} as const;

export function BrokerPage({ name }: { name: string }) {
  const [polling, setPolling] = useState(0);
  const { data, error, reload } = usePolled<Brokers>("/api/brokers", polling);
  const broker = data?.brokers.find((one) => one.name === name);
  const outcome = useOutcome(name, reload);
  const updating = broker?.instruments.updating ?? false;
  useEffect(() => setPolling(updating ? 1000 : 0), [updating]);

  if (!data) return error ? <Failure>{error}</Failure> : <div className="loading">Loading…</div>;
  if (!broker) {
    return (
      <Failure action={<Link href="/settings/broker">All brokers</Link>}>There is no broker called “{name}”.</Failure>
    );
  }
  return (
    <>
      <div className="page-head">
        <h2>{broker.title}</h2>
        <TokenState session={broker.session} />
        <Link href="/settings/broker">All brokers</Link>
      </div>
      {outcome?.state === "succeeded" && (
        <p className="notice good" role="status">
          Logged in to {broker.title}.
        </p>
      )}
      {outcome?.state === "failed" && <Failure>{outcome.message}</Failure>}
      <div className="broker">
        <LoginPanel broker={broker} onDone={reload} pending={outcome?.state === "pending"} />
        <div className="stack">
          <SessionPanel broker={broker} onChange={reload} />
          <InstrumentsPanel broker={broker} onChange={reload} />
          <TokenPanel broker={broker} onDone={reload} />
        </div>
      </div>
    </>
  );
}

/** What became of the login that the broker's page came back from. */
function useOutcome(name: string, reload: () => Promise<void>): LoginOutcome | null {
  const [outcome, setOutcome] = useState<LoginOutcome | null>(null);
  const returned = new URLSearchParams(useSearch()).get("login") === "done";
  const [, go] = useLocation();
  useEffect(() => {
    if (!returned) return;
    get<LoginOutcome>(`/api/brokers/${name}/login`)
      .catch((error: unknown): LoginOutcome => ({ state: "failed", message: failureText(error) }))
      .then((found) => {
        setOutcome(found);
        go(`/settings/broker/${name}`, { replace: true });
        return reload();
      });
  }, [returned, name, reload, go]);
  return outcome;
}

/** What a broker calls things is set in backticks. */
function Help({ children }: { children: string }) {
  // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text keep their places
  return children.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part));
}

interface FieldsFormProps {
  fields: readonly LoginField[];
  remembered: readonly string[];
  submit: string;
  onSubmit: (values: Record<string, string>) => Promise<void>;
}

/** The fields that a broker's login asks for. */
function FieldsForm({ fields, remembered, submit, onSubmit }: FieldsFormProps) {
  const [failure, setFailure] = useState<string | null>(null);
  const [wrong, setWrong] = useState<Readonly<Record<string, string>>>({});
  const [busy, setBusy] = useState(false);

  const send = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget;
    const entries = [...new FormData(form)].map(([name, value]) => [name, String(value).trim()] as const);
    setBusy(true);
    setFailure(null);
    setWrong({});
    try {
      await onSubmit(Object.fromEntries(entries.filter(([, value]) => value !== "")));
      form.reset();
    } catch (caught) {
      if (caught instanceof ApiError) setWrong(caught.fields);
      setFailure(failureText(caught));
    }
    setBusy(false);
  };

  return (
    <form className="stack" onSubmit={send}>
      {failure && <Failure>{failure}</Failure>}
      {fields.map(({ name, label, help, secret, remember, optional }) => {
        const known = remembered.includes(name);
        return (
          <Field
            key={name}
            name={name}
            label={optional ? `${label} (optional)` : label}
            help={help ? <Help>{help}</Help> : undefined}
            wrong={wrong[name]}
            type={secret ? "password" : "text"}
            inputMode={!remember && /otp|pin/i.test(name) ? "numeric" : undefined}
            autoComplete={remember ? "off" : "one-time-code"}
            placeholder={known ? "stored; leave empty to keep" : undefined}
            required={!optional && !known}
            spellCheck={false}
          />
        );
      })}
      <div>
        <Button type="submit" look="primary" disabled={busy}>
          {busy ? "One moment…" : submit}
        </Button>
      </div>
    </form>
  );
}

function LoginPanel({ broker, onDone, pending }: { broker: Broker; onDone: () => Promise<void>; pending: boolean }) {
  const [done, setDone] = useState(false);
  const path = `/api/brokers/${broker.name}`;

  const login = async (values: Record<string, string>): Promise<void> => {
    setDone(false);
    const answer = await post<LoginStart>(`${path}/login`, { values });
    if (answer.step === "redirect") {
      location.assign(answer.url);
      return;
    }
    setDone(true);
    await onDone();
  };

  const finish = async (values: Record<string, string>): Promise<void> => {
    await post(`${path}/login/finish`, values);
    setDone(true);
    await onDone();
  };

  return (
    <Panel title="Log in">
      <div className="panel-body stack">
        <p className="soft">{WAYS[broker.login]}</p>
        {done && (
          <p className="notice good" role="status">
            Logged in. The feed starts by itself.
          </p>
        )}
        {broker.login === "redirect" && (
          <div className="field">
            <span className="label">Redirect address, to be registered with the broker</span>
            <span className="row copyable">
              <code>{broker.redirect_uri}</code>
              <CopyButton text={broker.redirect_uri} what="the redirect address" />
            </span>
          </div>
        )}
        <FieldsForm
          fields={broker.fields}
          remembered={broker.remembered}
          submit={broker.login === "redirect" ? `Continue at ${broker.title}` : "Log in"}
          onSubmit={login}
        />
        {broker.login === "redirect" && (
          <details open={pending}>
            <summary>My app is registered with another redirect address</summary>
            <div className="stack finish">
              <p className="soft">
                Start the login above, and come back here with the address that your browser ended on.
              </p>
              <FieldsForm
                fields={[
                  {
                    name: "redirect_url",
                    label: "Address after the login",
                    help: "",
                    secret: true,
                    remember: true,
                    optional: false,
                  },
                ]}
                remembered={[]}
                submit="Finish"
                onSubmit={finish}
              />
            </div>
          </details>
        )}
      </div>
    </Panel>
  );
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
        <dd>{session?.expires_at ? `${dateTime(session.expires_at)} IST` : `– (${broker.token_life})`}</dd>
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
      {(failure || message) && <Failure>{failure ?? message}</Failure>}
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
