/** Every frame in both directions, newest first: search, pause, and a line to send whatever one likes. */

import { type FormEvent, memo, useMemo, useState } from "react";
import { integer } from "../../format/numbers";
import { preciseClock } from "../../format/time";
import { Button, Panel } from "../../ui/controls";
import { Icon } from "../../ui/icons";
import type { Frame } from "./probe";

interface Props {
  frames: readonly Frame[];
  onClear: () => void;
  onSend: (text: string) => void;
  canSend: boolean;
}

const MOST_SHOWN = 100;
const ARROWS = { in: "←", out: "→", note: "·" } as const;
const SPOKEN = { in: "received", out: "sent", note: "note" } as const;

export function FrameLog({ frames, onClear, onSend, canSend }: Props) {
  const [search, setSearch] = useState("");
  const [frozen, setFrozen] = useState<readonly Frame[] | null>(null);
  const source = frozen ?? frames;

  const shown = useMemo(() => {
    const needle = search.trim().toLowerCase();
    const found = needle ? source.filter(({ text }) => text.toLowerCase().includes(needle)) : source;
    return { count: found.length, frames: found.slice(-MOST_SHOWN).reverse() };
  }, [source, search]);

  const send = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const text = String(new FormData(event.currentTarget).get("raw") ?? "");
    if (text) onSend(text);
  };

  return (
    <Panel
      className="frame-log"
      title="Frames"
      tools={
        <>
          <small className="faint">
            {integer(shown.count)} {search ? "match" : "kept"}
          </small>
          <input
            className="input"
            type="search"
            aria-label="Search frames"
            placeholder="Search"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
          <Button small aria-pressed={frozen !== null} onClick={() => setFrozen(frozen ? null : frames)}>
            <Icon name={frozen ? "play" : "pause"} />
            {frozen ? "Resume" : "Pause"}
          </Button>
          <Button small onClick={onClear}>
            Clear
          </Button>
        </>
      }
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls has to be reachable by keyboard */}
      <div className="frames" role="log" aria-live="off" aria-label="Frames, newest first" tabIndex={0}>
        {shown.frames.length === 0 && <p className="soft">Nothing yet. Connect, authenticate, subscribe.</p>}
        {shown.frames.map((frame) => (
          <FrameRow key={frame.id} frame={frame} />
        ))}
      </div>
      <form className="frame-send" onSubmit={send}>
        <input
          className="input mono"
          name="raw"
          aria-label="A frame to send"
          defaultValue='{"action":"get_broker_info"}'
          spellCheck={false}
          autoComplete="off"
        />
        <Button type="submit" disabled={!canSend}>
          Send
        </Button>
      </form>
    </Panel>
  );
}

const FrameRow = memo(function FrameRow({ frame }: { frame: Frame }) {
  const [open, setOpen] = useState(false);
  return (
    <button type="button" className={`frame ${frame.direction}`} aria-expanded={open} onClick={() => setOpen(!open)}>
      <span className="frame-time">{preciseClock(frame.at)}</span>
      <span className="frame-arrow">
        <span aria-hidden="true">{ARROWS[frame.direction]}</span>
        <span className="visually-hidden">{SPOKEN[frame.direction]}</span>
      </span>
      <span className="frame-text">{open ? pretty(frame.text) : frame.text}</span>
    </button>
  );
});

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
