import type { BrokerSession } from "../../api/types";
import { dateTime, duration } from "../../format/time";
import { Pill } from "../../ui/controls";

/** Whether a broker's login holds, and how long. */
export function TokenState({ session }: { session: BrokerSession | null }) {
  if (!session) return <Pill tone="plain">Not logged in</Pill>;
  if (session.state === "rejected") return <Pill tone="bad">Refused by the broker</Pill>;
  const left = session.expires_at === null ? null : session.expires_at - Date.now();
  if (session.state === "expired" || (left !== null && left <= 0)) return <Pill tone="bad">Expired</Pill>;
  if (session.state === "not tried") return <Pill tone="warn">Not tried yet</Pill>;
  if (left === null) return <Pill tone="good">Logged in</Pill>;
  return (
    <Pill tone={left < 3_600_000 ? "warn" : "good"} title={`until ${dateTime(session.expires_at)} IST`}>
      Valid for {duration(left)}
    </Pill>
  );
}
