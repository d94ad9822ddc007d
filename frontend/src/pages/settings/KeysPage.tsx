/** API keys for programs: make, name, revoke. A key is shown once. */

import { type FormEvent, useState } from "react";
import { failureText, patch, post, remove } from "../../api/client";
import { usePolled } from "../../api/polling";
import type { ApiKey } from "../../api/types";
import { dateTime } from "../../format/time";
import { Button, Dialog, Failure, Field, Panel, Pill, Scroller } from "../../ui/controls";
import { CopyButton } from "./CopyButton";

type Open =
  | { kind: "new" }
  | { kind: "rename" | "revoke"; key: ApiKey }
  | { kind: "made"; name: string; apiKey: string }
  | null;

export function KeysPage() {
  const { data, error, reload } = usePolled<{ keys: ApiKey[] }>("/api/keys");
  const [open, setOpen] = useState<Open>(null);
  const close = (): void => setOpen(null);

  if (!data) return error ? <Failure>{error}</Failure> : <div className="loading">Loading…</div>;
  return (
    <>
      <Panel
        title="API keys"
        tools={
          <Button look="primary" small onClick={() => setOpen({ kind: "new" })}>
            New key
          </Button>
        }
      >
        {data.keys.length === 0 ? (
          <div className="empty">
            <p>
              No keys yet. A program needs one to connect: the Python, Node, Go and Rust clients, the Excel add-in,
              AmiBroker, or your own.
            </p>
          </div>
        ) : (
          <Scroller label="API keys">
            <table className="table keys-table">
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col" className="wide-only">
                    Key
                  </th>
                  <th scope="col" className="wide-only">
                    Made
                  </th>
                  <th scope="col" className="wide-only">
                    Last used
                  </th>
                  <th scope="col">State</th>
                  <th scope="col">
                    <span className="visually-hidden">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {data.keys.map((key) => (
                  <KeyRow key={key.id} apiKey={key} onOpen={setOpen} />
                ))}
              </tbody>
            </table>
          </Scroller>
        )}
      </Panel>
      {open?.kind === "new" && (
        <NameDialog
          title="New API key"
          verb="Make the key"
          name=""
          onClose={close}
          onName={async (name) => {
            const { api_key } = await post<{ api_key: string }>("/api/keys", { name });
            setOpen({ kind: "made", name, apiKey: api_key });
            await reload();
          }}
        />
      )}
      {open?.kind === "rename" && (
        <NameDialog
          title="Rename the key"
          verb="Rename"
          name={open.key.name}
          onClose={close}
          onName={async (name) => {
            await patch(`/api/keys/${open.key.id}`, { name });
            close();
            await reload();
          }}
        />
      )}
      {open?.kind === "revoke" && <RevokeDialog apiKey={open.key} onClose={close} onDone={reload} />}
      {open?.kind === "made" && (
        <Dialog title={`The key “${open.name}”`} onClose={close}>
          <p>Copy it now: it is not shown again.</p>
          <code className="secret">{open.apiKey}</code>
          <div className="row">
            <CopyButton text={open.apiKey} what="the key" />
          </div>
          <div className="actions">
            <Button look="primary" onClick={close}>
              Done
            </Button>
          </div>
        </Dialog>
      )}
    </>
  );
}

function KeyRow({ apiKey, onOpen }: { apiKey: ApiKey; onOpen: (open: Open) => void }) {
  const revoked = apiKey.revoked_at !== null;
  return (
    <tr>
      <td>
        <strong>{apiKey.name}</strong>
      </td>
      <td className="wide-only">
        <code>{apiKey.prefix}…</code>
      </td>
      <td className="wide-only">{dateTime(apiKey.created_at)}</td>
      <td className="wide-only">{apiKey.last_used_at === null ? "never" : dateTime(apiKey.last_used_at)}</td>
      <td>
        {revoked ? <Pill tone="plain">Revoked {dateTime(apiKey.revoked_at)}</Pill> : <Pill tone="good">Valid</Pill>}
      </td>
      <td className="num">
        {!revoked && (
          <span className="row key-actions">
            <Button
              small
              onClick={() => onOpen({ kind: "rename", key: apiKey })}
              aria-label={`Rename ${apiKey.name}`}
            >
              Rename
            </Button>
            <Button
              small
              look="danger"
              onClick={() => onOpen({ kind: "revoke", key: apiKey })}
              aria-label={`Revoke ${apiKey.name}`}
            >
              Revoke
            </Button>
          </span>
        )}
      </td>
    </tr>
  );
}

interface NameDialogProps {
  title: string;
  verb: string;
  name: string;
  onClose: () => void;
  onName: (name: string) => Promise<void>;
}

function NameDialog({ title, verb, name, onClose, onName }: NameDialogProps) {
  const [failure, setFailure] = useState<string | undefined>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      await onName(String(new FormData(event.currentTarget).get("name")).trim());
    } catch (caught) {
      setFailure(failureText(caught));
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <Field
          label="Name"
          name="name"
          defaultValue={name}
          maxLength={64}
          required
          autoFocus
          autoComplete="off"
          help="What it is for: “laptop”, “Excel”, “strategy 3”."
          wrong={failure}
        />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={busy}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function RevokeDialog({
  apiKey,
  onClose,
  onDone,
}: {
  apiKey: ApiKey;
  onClose: () => void;
  onDone: () => Promise<void>;
}) {
  const [failure, setFailure] = useState<string | null>(null);
  const revoke = async (): Promise<void> => {
    try {
      await remove(`/api/keys/${apiKey.id}`);
      onClose();
      await onDone();
    } catch (caught) {
      setFailure(failureText(caught));
    }
  };
  return (
    <Dialog title={`Revoke “${apiKey.name}”?`} onClose={onClose}>
      <p>Programs that use it are disconnected at once. This cannot be undone.</p>
      {failure && <Failure>{failure}</Failure>}
      <div className="actions">
        <Button onClick={onClose}>Cancel</Button>
        <Button look="danger" onClick={() => void revoke()}>
          Revoke
        </Button>
      </div>
    </Dialog>
  );
}
