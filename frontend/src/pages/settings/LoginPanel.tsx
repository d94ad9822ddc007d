/** Logging in to a broker: its fields, its own page, and what it asks in the middle. */

import { useState } from "react";
import { ApiError, failureText, post } from "../../api/client";
import type { Broker, LoginOutcome, LoginQuestion, LoginStep } from "../../api/types";
import { clock } from "../../format/time";
import { sentence } from "../../format/words";
import { Button, Failure, Panel } from "../../ui/controls";
import { CopyButton } from "./CopyButton";
import { FieldsForm } from "./FieldsForm";

const WAYS = {
  redirect: "You log in on the broker’s own page, which then leads back here.",
  totp: "A one-time password confirms the login; no other page is opened.",
  keys: "The API keys alone make a session.",
} as const;

/** Failures that leave the question open; after the others the login has to begin again. */
const PASSING = new Set(["INVALID_PARAMETERS", "RATE_LIMITED", "UNREACHABLE"]);

interface LoginPanelProps {
  broker: Broker;
  /** How the login stood when the page was opened. */
  outcome: LoginOutcome;
  onTry: () => void;
  onDone: () => Promise<void>;
}

export function LoginPanel({ broker, outcome, onTry, onDone }: LoginPanelProps) {
  const [failure, setFailure] = useState<string | null>(null);
  const [question, setQuestion] = useState<LoginQuestion | null>(openQuestion(outcome));
  const path = `/api/brokers/${broker.name}/login`;

  const goOn = async (step: LoginStep): Promise<void> => {
    if (step.step === "redirect") {
      location.assign(step.url);
      return;
    }
    setQuestion(step.step === "answer" ? step : null);
    if (step.step === "done") await onDone();
  };

  const send = async (to: string, body: object): Promise<void> => {
    onTry();
    setFailure(null);
    await goOn(await post<LoginStep>(to, body));
  };

  const answer = async ({ answer: given = "" }: Record<string, string>): Promise<void> => {
    try {
      await send(`${path}/answer`, { answer: given });
    } catch (caught) {
      if (caught instanceof ApiError && PASSING.has(caught.code)) throw caught;
      setFailure(failureText(caught));
      setQuestion(null);
    }
  };

  return (
    <Panel title="Log in">
      <div className="panel-body stack">
        {failure && <Failure>{failure}</Failure>}
        {question ? (
          <Question question={question} title={broker.title} onAnswer={answer} onLeave={() => setQuestion(null)} />
        ) : (
          <>
            <p className="soft">{WAYS[broker.login]}</p>
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
              onSubmit={(values) => send(path, { values })}
            />
            {broker.login === "redirect" && (
              <details open={outcome.state === "pending"}>
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
                    onSubmit={(values) => send(`${path}/finish`, values)}
                  />
                </div>
              </details>
            )}
          </>
        )}
      </div>
    </Panel>
  );
}

interface QuestionProps {
  question: LoginQuestion;
  title: string;
  onAnswer: (values: Record<string, string>) => Promise<void>;
  onLeave: () => void;
}

function Question({ question, title, onAnswer, onLeave }: QuestionProps) {
  const { message, field, expires_at } = question;
  return (
    <>
      <p className="notice" role="status">
        <span>
          {sentence(message)} {title} waits for the answer until {clock(expires_at)} IST.
        </span>
      </p>
      <FieldsForm
        key={expires_at}
        fields={[{ ...field, name: "answer", remember: false }]}
        remembered={[]}
        submit="Continue"
        onSubmit={onAnswer}
        focused
      >
        <Button look="quiet" onClick={onLeave}>
          Start again
        </Button>
      </FieldsForm>
    </>
  );
}

function openQuestion(outcome: LoginOutcome): LoginQuestion | null {
  if (outcome.state !== "question" || !outcome.field || !outcome.expires_at) return null;
  return { message: outcome.message, field: outcome.field, expires_at: outcome.expires_at };
}
