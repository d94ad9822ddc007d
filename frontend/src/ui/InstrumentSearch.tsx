/** Search of the broker's instruments: a combobox (arrows, Enter, Escape), answers ranked by the server. */

import { useEffect, useId, useRef, useState } from "react";
import { Link } from "wouter";
import { ApiError, failureText, get } from "../api/client";
import type { FoundSymbol, SymbolAnswer } from "../api/types";
import type { Instrument } from "../market/types";

interface Props {
  label: string;
  placeholder?: string;
  onPick: (found: FoundSymbol) => void;
  /** Marks what has been picked before. */
  isPicked?: (instrument: Instrument) => boolean;
  /** The text to show while nobody searches, as the instrument chosen. */
  value?: string;
}

type Answer = { results: FoundSymbol[]; note: string; offersDownload: boolean } | null;

export function InstrumentSearch({
  label,
  placeholder = "Search symbol or name",
  onPick,
  isPicked,
  value = "",
}: Props) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [query, setQuery] = useState<string | null>(null);
  const [answer, setAnswer] = useState<Answer>(null);
  const [active, setActive] = useState(0);
  const text = query?.trim() ?? "";

  useEffect(() => {
    if (text === "") {
      setAnswer(null);
      return;
    }
    const aborter = new AbortController();
    // Long enough to skip the letters of a fast typist, too short to be felt.
    const timer = setTimeout(async () => {
      try {
        const { results } = await get<SymbolAnswer>(
          `/api/symbols?limit=20&q=${encodeURIComponent(text)}`,
          aborter.signal,
        );
        setAnswer({ results, note: results.length ? "" : `Nothing matches “${text}”.`, offersDownload: false });
        setActive(0);
      } catch (error) {
        if (aborter.signal.aborted) return;
        setAnswer({
          results: [],
          note: failureText(error),
          offersDownload: error instanceof ApiError && error.code === "NO_INSTRUMENTS",
        });
      }
    }, 90);
    return () => {
      clearTimeout(timer);
      aborter.abort();
    };
  }, [text]);

  useEffect(() => {
    const slash = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      const writes = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
      if (event.key !== "/" || writes || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
    };
    document.addEventListener("keydown", slash);
    return () => document.removeEventListener("keydown", slash);
  }, []);

  const results = answer?.results ?? [];
  const open = query !== null && answer !== null;
  const chosen = results[active];

  const pick = (found: FoundSymbol): void => {
    onPick(found);
    setQuery(null);
    setAnswer(null);
  };

  const move = (step: number): void => {
    if (results.length === 0) return;
    const next = (active + step + results.length) % results.length;
    setActive(next);
    document.getElementById(`${id}-${next}`)?.scrollIntoView({ block: "nearest" });
  };

  return (
    <div className="combo">
      <input
        ref={input}
        className="input"
        role="combobox"
        aria-label={label}
        aria-expanded={open && results.length > 0}
        aria-controls={open && results.length > 0 ? `${id}-list` : undefined}
        aria-autocomplete="list"
        aria-activedescendant={open && chosen ? `${id}-${active}` : undefined}
        placeholder={placeholder}
        autoComplete="off"
        autoCapitalize="characters"
        spellCheck={false}
        value={query ?? value}
        onFocus={() => setQuery("")}
        onBlur={() => setQuery(null)}
        onChange={(event) => setQuery(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") move(1);
          else if (event.key === "ArrowUp") move(-1);
          else if (event.key === "Enter" && open && chosen) pick(chosen);
          else if (event.key === "Escape") input.current?.blur();
          else return;
          event.preventDefault();
        }}
      />
      {open && (
        // biome-ignore lint/a11y/noStaticElementInteractions: pressing here must not take the focus from the input before the click arrives
        <div className="combo-list" onMouseDown={(event) => event.preventDefault()}>
          {results.length > 0 && (
            <div role="listbox" id={`${id}-list`} aria-label={`${label}: matches`}>
              {results.map((found, index) => (
                // biome-ignore lint/a11y/useKeyWithClickEvents: the combobox handles the keys
                <div
                  key={`${found.exchange}:${found.symbol}`}
                  id={`${id}-${index}`}
                  role="option"
                  tabIndex={-1}
                  aria-selected={index === active}
                  className="combo-option"
                  onMouseEnter={() => setActive(index)}
                  onClick={() => pick(found)}
                >
                  <strong>{found.symbol}</strong>
                  <span className="tag">{isPicked?.(found) ? "added" : found.exchange}</span>
                  <small>{found.name || found.instrumenttype}</small>
                  <small>{[found.instrumenttype, found.expiry].filter(Boolean).join(" · ")}</small>
                </div>
              ))}
            </div>
          )}
          {answer?.note && (
            <div className="combo-note" role="status">
              {answer.note} {answer.offersDownload && <Link href="/settings/broker">Download the list</Link>}
            </div>
          )}
        </div>
      )}
    </div>
  );
}
