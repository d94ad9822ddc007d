/** First start: the page that makes the user. */

import { type FormEvent, useState } from "react";
import { ApiError, failureText } from "../api/client";
import { useSession } from "../app/session";
import { Button, Failure, Field } from "../ui/controls";

const LEAST_PASSWORD = 10;

export default function Setup() {
  const { session, setup } = useSession();
  const [error, setError] = useState<string | null>(null);
  const [wrong, setWrong] = useState<Readonly<Record<string, string>>>({});
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const password = String(form.get("password"));
    setError(null);
    if (password.length < LEAST_PASSWORD)
      return setWrong({ password: `At least ${LEAST_PASSWORD} characters, please.` });
    if (password !== form.get("again")) return setWrong({ again: "The two passwords differ." });
    setWrong({});
    setBusy(true);
    try {
      await setup(String(form.get("username")), password, String(form.get("code") ?? ""));
    } catch (failure) {
      if (failure instanceof ApiError) setWrong(failure.fields);
      setError(failureText(failure));
      setBusy(false);
    }
  };

  return (
    <main className="gate">
      <span className="brand">
        <img src="/icon.svg" alt="" />
        tickmux
      </span>
      <SetupSteps now={0} />
      <form onSubmit={submit} noValidate>
        <div>
          <h1>Welcome</h1>
          <p className="soft">
            Live market data from your broker, over one WebSocket. First, an account for this server.
          </p>
        </div>
        {error && <Failure>{error}</Failure>}
        {session?.setup_code_required && (
          <Field
            label="Setup code"
            name="code"
            autoComplete="off"
            autoCapitalize="characters"
            spellCheck={false}
            required
            help={
              <>
                The server's console shows it, and so does <code>tickmux user setup-code</code> there. It is asked for
                because this page may have been opened on another machine, or through a proxy.
              </>
            }
            wrong={wrong.code}
          />
        )}
        <Field
          label="User name"
          name="username"
          autoComplete="username"
          defaultValue={session?.suggested_username ?? ""}
          required
          autoFocus={!session?.suggested_username}
          autoCapitalize="none"
          wrong={wrong.username}
        />
        <Field
          label="Password"
          name="password"
          type="password"
          autoComplete="new-password"
          required
          autoFocus={Boolean(session?.suggested_username)}
          help={
            <>
              At least {LEAST_PASSWORD} characters. There is no recovery by mail; <code>tickmux user passwd</code> on
              the server sets another.
            </>
          }
          wrong={wrong.password}
        />
        <Field
          label="Password again"
          name="again"
          type="password"
          autoComplete="new-password"
          required
          wrong={wrong.again}
        />
        <Button type="submit" look="primary" disabled={busy}>
          {busy ? "Creating…" : "Create account"}
        </Button>
      </form>
    </main>
  );
}

export function SetupSteps({ now }: { now: number }) {
  return (
    <ol className="steps" aria-label="Steps of the set-up">
      {["Account", "Source of data", "Ready"].map((step, index) => (
        <li key={step} aria-current={index === now ? "step" : undefined}>
          {index + 1}. {step}
        </li>
      ))}
    </ol>
  );
}
