/** Another password for the web pages; all other sessions of the user end. */

import { type FormEvent, useState } from "react";
import { ApiError, failureText } from "../../api/client";
import { useSession } from "../../app/session";
import { Button, Failure, Field, Panel } from "../../ui/controls";

const LEAST_PASSWORD = 10;

export function PasswordPage() {
  const { session, changePassword } = useSession();
  const [error, setError] = useState<string | null>(null);
  const [wrong, setWrong] = useState<Readonly<Record<string, string>>>({});
  const [busy, setBusy] = useState(false);
  const [changed, setChanged] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget;
    const values = new FormData(form);
    const next = String(values.get("new_password"));
    setError(null);
    setChanged(false);
    if (next.length < LEAST_PASSWORD)
      return setWrong({ new_password: `At least ${LEAST_PASSWORD} characters, please.` });
    if (next !== values.get("again")) return setWrong({ again: "The two passwords differ." });
    setWrong({});
    setBusy(true);
    try {
      await changePassword(String(values.get("password")), next);
      form.reset();
      setChanged(true);
    } catch (failure) {
      if (failure instanceof ApiError && Object.keys(failure.fields).length > 0) setWrong(failure.fields);
      else setError(failureText(failure));
    } finally {
      setBusy(false);
    }
  };

  return (
    <Panel title="Password">
      <form className="password-form" onSubmit={submit} noValidate>
        <p className="soft">
          With it {session?.username} logs in to these pages. When it changes, all other browsers are logged out. API
          keys and broker sessions stay as they are.
        </p>
        {error && <Failure>{error}</Failure>}
        {changed && (
          <p className="password-changed" role="status">
            The password is changed; all other browsers are logged out.
          </p>
        )}
        <input type="text" name="username" autoComplete="username" value={session?.username ?? ""} readOnly hidden />
        <Field
          label="Present password"
          name="password"
          type="password"
          autoComplete="current-password"
          required
          wrong={wrong.password}
        />
        <Field
          label="New password"
          name="new_password"
          type="password"
          autoComplete="new-password"
          required
          help={`At least ${LEAST_PASSWORD} characters.`}
          wrong={wrong.new_password}
        />
        <Field
          label="New password again"
          name="again"
          type="password"
          autoComplete="new-password"
          required
          wrong={wrong.again}
        />
        <div className="actions">
          <Button type="submit" look="primary" disabled={busy}>
            {busy ? "Changing…" : "Change the password"}
          </Button>
        </div>
      </form>
    </Panel>
  );
}
