import type { FeedState } from "../market/types";
import type { Tone } from "./controls";

/** What a feed's state is called, and how serious it is. */
export const FEED_STATES: Readonly<Record<FeedState, { label: string; tone: Tone }>> = {
  live: { label: "Live", tone: "good" },
  connecting: { label: "Connecting", tone: "info" },
  reconnecting: { label: "Reconnecting", tone: "warn" },
  stalled: { label: "Stalled", tone: "warn" },
  auth_expired: { label: "Login expired", tone: "bad" },
  market_closed: { label: "Market closed", tone: "plain" },
  stopped: { label: "Stopped", tone: "bad" },
};
