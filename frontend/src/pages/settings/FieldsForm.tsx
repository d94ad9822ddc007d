/** The fields that a broker's login asks for. */

import { type FormEvent, type ReactNode, useState } from "react";
import { ApiError, failureText } from "../../api/client";
import type { LoginField } from "../../api/types";
import { Button, Failure, Field } from "../../ui/controls";

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
  /** Whether the first field gets the focus, as the thing to do next. */
  focused?: boolean;
  /** What stands beside the button. */
  children?: ReactNode;
}

export function FieldsForm({ fields, remembered, submit, onSubmit, focused, children }: FieldsFormProps) {
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
      {fields.map(({ name, label, help, secret, remember, optional }, index) => {
        const known = remembered.includes(name);
        return (
          <Field
            key={name}
            name={name}
            label={optional ? `${label} (optional)` : label}
            help={help ? <Help>{help}</Help> : undefined}
            wrong={wrong[name]}
            type={secret ? "password" : "text"}
            inputMode={!remember && /otp|pin/i.test(`${name} ${label}`) ? "numeric" : undefined}
            autoComplete={remember ? "off" : "one-time-code"}
            placeholder={known ? "stored; leave empty to keep" : undefined}
            required={!optional && !known}
            spellCheck={false}
            autoFocus={focused === true && index === 0}
          />
        );
      })}
      <div className="row">
        <Button type="submit" look="primary" disabled={busy}>
          {busy ? "One moment…" : submit}
        </Button>
        {children}
      </div>
    </form>
  );
}
