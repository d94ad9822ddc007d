import { type FormEvent, useState } from "react";
import { failureText } from "../api/client";
import { useSession } from "../app/session";
import { Button, Failure, Field } from "../ui/controls";

export default function Login() {
  const { login } = useSession();
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setError(null);
    try {
      await login(String(form.get("username")), String(form.get("password")));
    } catch (failure) {
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
      <form onSubmit={submit}>
        <h1>Log in</h1>
        {error && <Failure>{error}</Failure>}
        <Field label="User name" name="username" autoComplete="username" required autoFocus autoCapitalize="none" />
        <Field label="Password" name="password" type="password" autoComplete="current-password" required />
        <Button type="submit" look="primary" disabled={busy}>
          {busy ? "Logging in…" : "Log in"}
        </Button>
      </form>
    </main>
  );
}
