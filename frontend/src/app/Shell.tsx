/** The frame of every page: navigation, state of the feed, clock, theme, user. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import { clock } from "../format/time";
import { sentence } from "../format/words";
import { useClientState } from "../hooks/useMarketData";
import { sharedClient } from "../market/shared";
import { Button, Pill } from "../ui/controls";
import { FEED_STATES } from "../ui/feedState";
import { Icon, type IconName } from "../ui/icons";
import { useSession } from "./session";
import { setTheme, useTheme } from "./theme";

const PAGES: readonly { path: string; label: string; icon: IconName; under?: string }[] = [
  { path: "/", label: "Dashboard", icon: "dashboard" },
  { path: "/watchlist", label: "Watchlist", icon: "watchlist" },
  { path: "/depth", label: "Depth", icon: "depth" },
  { path: "/websocket/test", label: "Test", icon: "test", under: "/websocket" },
  { path: "/settings/broker", label: "Settings", icon: "settings", under: "/settings" },
];

export function Shell({ children }: { children: ReactNode }) {
  const [path] = useLocation();
  const main = useRef<HTMLElement>(null);
  const before = useRef(path);
  const page = PAGES.find(({ path: own, under }) => own === path || (under && path.startsWith(under)));

  useEffect(() => {
    document.title = page ? `${page.label} · tickmux` : "tickmux";
    if (before.current === path) return;
    before.current = path;
    // As after a page load: reading and tabbing start at the new content.
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [path, page]);

  return (
    <>
      <a className="button skip" href="#main">
        Skip to content
      </a>
      <header className="topbar">
        <Link href="/" className="brand">
          <img src="/icon.svg" alt="" />
          <span className="brand-name">tickmux</span>
        </Link>
        <nav className="nav" aria-label="Pages">
          {PAGES.map(({ path: to, label, icon }) => (
            <Link key={to} href={to} className="nav-link" aria-current={page?.path === to ? "page" : undefined}>
              <Icon name={icon} />
              {label}
            </Link>
          ))}
        </nav>
        <span className="spacer" />
        <SocketPill />
        <Clock />
        <ThemeButton />
        <UserButton />
      </header>
      <StateBanner />
      <main className="page" id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

/** The state of this page's own connection and of the feed behind it; nothing while no page needs data. */
function SocketPill() {
  const { phase, feed, broker } = useClientState();
  if (phase === "idle") return null;
  if (phase === "ready") {
    const { label, tone } = FEED_STATES[feed?.state ?? "live"];
    return <Pill tone={tone} title={feed?.message || broker}>{`${label}${broker ? ` · ${broker}` : ""}`}</Pill>;
  }
  if (phase === "paused") return <Pill tone="plain">Paused</Pill>;
  const broken = phase === "waiting" || phase === "rejected" || phase === "stopped";
  return <Pill tone={broken ? "bad" : "info"}>{broken ? "Not connected" : "Connecting"}</Pill>;
}

/** Says in words, and aloud, when prices on the page can't be trusted. */
function StateBanner() {
  const { phase, error, feed, attempt } = useClientState();
  const client = sharedClient();
  let text = "";
  let tone = "warn";
  let again = false;
  if (phase === "rejected" || phase === "stopped") {
    text = error ? `Not connected: ${error.message}.` : "Disconnected.";
    tone = "bad";
    again = true;
  } else if (phase === "waiting") {
    text = `Connection lost: ${error?.message ?? "unknown reason"}. Reconnecting${attempt > 1 ? ` (attempt ${attempt})` : ""}…`;
    tone = "bad";
    again = true;
  } else if (phase === "ready" && feed && feed.state !== "live" && feed.state !== "market_closed") {
    tone = FEED_STATES[feed.state].tone === "bad" ? "bad" : "warn";
    text = `${FEED_TEXTS[feed.state] ?? FEED_STATES[feed.state].label} since ${clock(feed.since)} IST: prices shown may be out of date. ${sentence(feed.message)}`;
  }
  return (
    <div role="status" aria-live="polite">
      {text && (
        <div className={`banner ${tone}`}>
          <span>{text.trim()}</span>
          {again && (
            <Button small onClick={() => client.connect()}>
              Connect now
            </Button>
          )}
          {feed?.state === "auth_expired" && phase === "ready" && (
            <Link className="button small" href={`/settings/broker/${feed.broker}`}>
              Log in to the broker
            </Link>
          )}
        </div>
      )}
    </div>
  );
}

const FEED_TEXTS: Readonly<Record<string, string>> = {
  connecting: "The broker's feed is connecting",
  stalled: "The broker's feed has gone silent",
  reconnecting: "The broker's feed is reconnecting",
  auth_expired: "The broker login has expired",
  stopped: "The broker's feed has stopped",
};

function Clock() {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <span className="clock">
      {clock(now)} <small>IST</small>
    </span>
  );
}

function ThemeButton() {
  const theme = useTheme();
  const other = theme === "dark" ? "light" : "dark";
  return (
    <Button
      look="quiet"
      icon
      aria-label={`Switch to the ${other} theme`}
      title={`Switch to the ${other} theme`}
      onClick={() => setTheme(other)}
    >
      <Icon name={theme === "dark" ? "sun" : "moon"} />
    </Button>
  );
}

function UserButton() {
  const { session, logout } = useSession();
  return (
    <Button
      look="quiet"
      onClick={() => void logout()}
      title={`Log out ${session?.username ?? ""}`}
      aria-label={`Log out ${session?.username ?? ""}`}
    >
      <span className="user-name">{session?.username}</span>
      <Icon name="logout" />
    </Button>
  );
}
