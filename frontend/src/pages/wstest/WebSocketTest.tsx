/** The test bench of the WebSocket: every step by hand, every frame to be seen. `levels` fixes a depth, null leaves the choice. */

import { type FormEvent, useEffect, useState, useSyncExternalStore } from "react";
import { Link } from "wouter";
import { failureText, get } from "../../api/client";
import { bytes, integer, milliseconds, percent, price, priceDigits, signed } from "../../format/numbers";
import { type Instrument, instrumentKey, type Mode } from "../../market/types";
import { Button, Failure, Field, Panel, Pill, Scroller, Segmented, type Tone } from "../../ui/controls";
import { DepthLadder } from "../../ui/DepthLadder";
import { InstrumentSearch } from "../../ui/InstrumentSearch";
import { Flash, tone } from "../../ui/Live";
import { FrameLog } from "./FrameLog";
import { Probe, type ProbeState, type ProbeStatus, type Subscription } from "./probe";
import "./wstest.css";

const STATUS: Readonly<Record<ProbeStatus, { label: string; tone: Tone }>> = {
  closed: { label: "Not connected", tone: "plain" },
  connecting: { label: "Connecting", tone: "info" },
  open: { label: "Connected, not authenticated", tone: "warn" },
  authenticated: { label: "Authenticated", tone: "good" },
};
const MODES = (["LTP", "QUOTE", "DEPTH"] as const).map((value) => ({ value, label: value }));
const DEPTHS = [5, 20, 30, 50].map((value) => ({ value, label: String(value) }));
const PAGES = [
  { path: "/websocket/test", label: "All modes", levels: null },
  { path: "/websocket/test/20", label: "Depth 20", levels: 20 },
  { path: "/websocket/test/30", label: "Depth 30", levels: 30 },
  { path: "/websocket/test/50", label: "Depth 50", levels: 50 },
];

export default function WebSocketTest({ levels }: { levels: number | null }) {
  const [probe] = useState(() => new Probe());
  const state = useSyncExternalStore(probe.listen, () => probe.state);
  const [failure, setFailure] = useState<string | null>(null);
  const [instrument, setInstrument] = useState<Instrument>({ symbol: "SBIN", exchange: "NSE" });
  const [mode, setMode] = useState<Mode>(levels === null ? "QUOTE" : "DEPTH");
  const [depth, setDepth] = useState(levels ?? 5);
  useEffect(() => () => probe.close(), [probe]);

  const connected = state.status === "open" || state.status === "authenticated";
  const { label, tone: statusTone } = STATUS[state.status];

  return (
    <>
      <div className="page-head">
        <h1>WebSocket test{levels === null ? "" : `, depth ${levels}`}</h1>
        <nav className="row" aria-label="Test pages">
          {PAGES.map((page) => (
            <Link
              key={page.path}
              href={page.path}
              className="button small"
              aria-current={page.levels === levels ? "page" : undefined}
            >
              {page.label}
            </Link>
          ))}
        </nav>
        <span className="spacer" />
        <Pill tone={statusTone}>{state.broker ? `${label} · ${state.broker}` : label}</Pill>
      </div>
      {failure && <Failure>{failure}</Failure>}
      <div className="bench">
        <div className="stack">
          <Connect probe={probe} status={state.status} onFailure={setFailure} />
          <Panel title="Subscribe">
            <div className="panel-body stack">
              <InstrumentSearch
                label="Instrument"
                value={`${instrument.symbol} · ${instrument.exchange}`}
                onPick={setInstrument}
              />
              <div className="row">
                <Segmented label="Mode" value={mode} options={MODES} onChange={setMode} />
                {mode === "DEPTH" && <Segmented label="Levels" value={depth} options={DEPTHS} onChange={setDepth} />}
              </div>
              <div className="row">
                <Button look="primary" disabled={!connected} onClick={() => probe.subscribe(instrument, mode, depth)}>
                  Subscribe
                </Button>
                <Button disabled={!connected} onClick={() => probe.unsubscribe(instrument, mode)}>
                  Unsubscribe
                </Button>
              </div>
            </div>
          </Panel>
          <Measures state={state} />
        </div>
        <div className="stack">
          <Subscriptions state={state} probe={probe} />
          {state.subscriptions
            .filter((one) => one.mode === "DEPTH" && !one.error)
            .map((one) => (
              <Book key={instrumentKey(one)} subscription={one} state={state} />
            ))}
          <FrameLog
            frames={state.frames}
            onClear={() => probe.clear()}
            onSend={(text) => probe.sendRaw(text)}
            canSend={connected}
          />
        </div>
      </div>
    </>
  );
}

function Connect({
  probe,
  status,
  onFailure,
}: {
  probe: Probe;
  status: ProbeStatus;
  onFailure: (text: string | null) => void;
}) {
  const [url, setUrl] = useState("");
  const [apiKey, setApiKey] = useState("");
  const closed = status === "closed";

  useEffect(() => {
    get<{ websocket_url: string }>("/api/websocket/config").then(
      (config) => setUrl((before) => before || config.websocket_url),
      (error: unknown) => onFailure(failureText(error)),
    );
  }, [onFailure]);

  const authenticate = async (): Promise<void> => {
    try {
      onFailure(null);
      probe.authenticate(apiKey || (await get<{ api_key: string }>("/api/websocket/apikey")).api_key);
    } catch (error) {
      onFailure(failureText(error));
    }
  };

  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (closed) probe.connect(url);
    else if (status === "open") void authenticate();
  };

  return (
    <Panel title="Connect">
      <form className="panel-body stack" onSubmit={submit}>
        <Field
          label="Address"
          value={url}
          onChange={(event) => setUrl(event.target.value)}
          spellCheck={false}
          autoComplete="off"
        />
        <Field
          label="API key"
          type="password"
          value={apiKey}
          placeholder="empty: a key of this web session"
          autoComplete="off"
          onChange={(event) => setApiKey(event.target.value)}
        />
        <div className="row">
          {closed ? (
            <Button type="submit" look="primary" disabled={!url}>
              Connect
            </Button>
          ) : (
            <Button onClick={() => probe.close()}>Disconnect</Button>
          )}
          <Button
            type={closed ? "button" : "submit"}
            look={status === "open" ? "primary" : "plain"}
            disabled={status !== "open"}
          >
            Authenticate
          </Button>
          <Button disabled={closed || status === "connecting"} onClick={() => probe.ping()}>
            Ping
          </Button>
        </div>
      </form>
    </Panel>
  );
}

function Measures({ state }: { state: ProbeState }) {
  const rows: [string, string][] = [
    ["Messages", `${integer(state.messageRate)} /s`],
    ["Data", `${bytes(state.byteRate)}/s`],
    ["Round trip", state.roundTrip === null ? "press Ping" : milliseconds(state.roundTrip)],
    ["Tick’s time → here, median", milliseconds(state.age && Math.max(0, state.age.median))],
    ["Tick’s time → here, worst", milliseconds(state.age && Math.max(0, state.age.worst))],
    ["Received", `${integer(state.received)} · ${bytes(state.bytes)}`],
    ["Malformed", integer(state.malformed)],
  ];
  return (
    <Panel title="Measures">
      <dl className="measures">
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {state.age?.coarse && (
        <p className="measures-note faint">
          This feed gives its times in whole seconds: up to a second of the way from a tick’s time to here is
          rounding.
        </p>
      )}
    </Panel>
  );
}

function Subscriptions({ state, probe }: { state: ProbeState; probe: Probe }) {
  if (state.subscriptions.length === 0) return null;
  return (
    <Panel title="Subscriptions">
      <Scroller label="Subscriptions">
        <table className="table subscriptions">
          <thead>
            <tr>
              <th scope="col">Instrument</th>
              <th scope="col">Mode</th>
              <th scope="col" className="num">
                LTP
              </th>
              <th scope="col" className="num">
                Change
              </th>
              <th scope="col">Verdict</th>
              <th scope="col">
                <span className="visually-hidden">Unsubscribe</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {state.subscriptions.map((one) => {
              const data = state.ticks.get(`${instrumentKey(one)}|${one.mode}`)?.data;
              return (
                <tr key={`${instrumentKey(one)}|${one.mode}`}>
                  <td>
                    <strong>{one.symbol}</strong> <span className="tag">{one.exchange}</span>
                  </td>
                  <td>{one.mode}</td>
                  <td className="num">
                    <Flash value={data?.ltp} text={price(data?.ltp, one.exchange)} />
                  </td>
                  <td className={`num ${tone(data?.change)}`}>
                    {signed(data?.change, priceDigits(one.exchange))} ({percent(data?.change_percent)})
                  </td>
                  <td className={one.error ? "down" : "soft"}>{verdict(one)}</td>
                  <td className="num">
                    <Button
                      small
                      onClick={() => probe.unsubscribe(one, one.mode)}
                      aria-label={`Unsubscribe ${one.symbol} ${one.mode}`}
                    >
                      Unsubscribe
                    </Button>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroller>
    </Panel>
  );
}

function verdict({ error, mode, granted, requested }: Subscription): string {
  if (error) return error;
  if (mode !== "DEPTH") return "subscribed";
  return granted === null ? "asked" : `${granted} of ${requested} levels`;
}

function Book({ subscription, state }: { subscription: Subscription; state: ProbeState }) {
  const { symbol, exchange, requested, granted } = subscription;
  const tick = state.ticks.get(`${exchange}:${symbol}|DEPTH`);
  return (
    <Panel title={`Book of ${symbol} · ${exchange}`}>
      <DepthLadder
        depth={tick?.data.depth}
        exchange={exchange}
        requested={requested}
        granted={granted}
        totalBuy={tick?.data.total_buy_quantity}
        totalSell={tick?.data.total_sell_quantity}
      />
    </Panel>
  );
}
