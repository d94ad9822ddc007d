/**
 * Who wants what, and what the server has been asked for: reference counts and the difference between the two. Pure.
 *
 * A claim is (instrument, mode) with a depth; the depth asked for is the greatest of those wanted.
 */

import { type Instrument, instrumentKey, type MarketError, type Mode } from "./types";

interface Claim {
  instrument: Instrument;
  mode: Mode;
  /** Depth -> how many want it. Empty: nobody wants it any more, and it is due to be given up. */
  depths: Map<number, number>;
  /** What was asked for in this session, null if nothing. */
  asked: number | null;
  /** What the server said it will send. */
  granted: number | null;
  error: MarketError | null;
}

export interface Group {
  mode: Mode;
  depth: number;
  instruments: Instrument[];
}

export class Ledger {
  readonly #claims = new Map<string, Claim>();
  #live = 0;

  /** Claims that somebody holds. */
  get size(): number {
    return this.#live;
  }

  add(instrument: Instrument, mode: Mode, depth: number): void {
    const name = claimName(instrumentKey(instrument), mode);
    let claim = this.#claims.get(name);
    if (!claim) {
      const { symbol, exchange } = instrument;
      claim = { instrument: { symbol, exchange }, mode, depths: new Map(), asked: null, granted: null, error: null };
      this.#claims.set(name, claim);
    }
    if (claim.depths.size === 0) this.#live += 1;
    claim.depths.set(depth, (claim.depths.get(depth) ?? 0) + 1);
  }

  remove(instrument: Instrument, mode: Mode, depth: number): void {
    const claim = this.#claims.get(claimName(instrumentKey(instrument), mode));
    const count = claim?.depths.get(depth);
    if (!claim || !count) return;
    if (count > 1) claim.depths.set(depth, count - 1);
    else claim.depths.delete(depth);
    if (claim.depths.size === 0) this.#live -= 1;
  }

  /** Whether a message of this kind is expected: held, or given up but not yet unsubscribed. */
  has(key: string, mode: Mode): boolean {
    return this.#claims.has(claimName(key, mode));
  }

  granted(key: string, mode: Mode): number | null {
    return this.#claims.get(claimName(key, mode))?.granted ?? null;
  }

  error(key: string, mode: Mode): MarketError | null {
    return this.#claims.get(claimName(key, mode))?.error ?? null;
  }

  /** What has to be asked for now; counts as asked from here on. */
  takeAdditions(): Group[] {
    const groups = new Map<string, Group>();
    for (const claim of this.#claims.values()) {
      if (claim.depths.size === 0) continue;
      const depth = Math.max(...claim.depths.keys());
      if (claim.asked === depth) continue;
      claim.asked = depth;
      claim.error = null;
      collect(groups, claim, depth);
    }
    return [...groups.values()];
  }

  /** What nobody wants any more; forgotten from here on. Includes what was never asked for (`asked` false). */
  takeRemovals(): { asked: Group[]; gone: { key: string; mode: Mode }[] } {
    const groups = new Map<string, Group>();
    const gone: { key: string; mode: Mode }[] = [];
    for (const [name, claim] of this.#claims) {
      if (claim.depths.size > 0) continue;
      this.#claims.delete(name);
      gone.push({ key: instrumentKey(claim.instrument), mode: claim.mode });
      if (claim.asked !== null && claim.error === null) collect(groups, claim, 0);
    }
    return { asked: [...groups.values()], gone };
  }

  accept(key: string, mode: Mode, depth: number | null): void {
    const claim = this.#claims.get(claimName(key, mode));
    if (!claim) return;
    claim.granted = depth;
    claim.error = null;
  }

  refuse(key: string, mode: Mode, error: MarketError): void {
    const claim = this.#claims.get(claimName(key, mode));
    if (claim) claim.error = error;
  }

  /** Lets claims that were refused for a passing reason be asked for again; says how many. */
  retry(passing: (code: string) => boolean): number {
    let count = 0;
    for (const claim of this.#claims.values()) {
      if (!claim.error || !passing(claim.error.code)) continue;
      claim.asked = null;
      claim.error = null;
      count += 1;
    }
    return count;
  }

  /** The session has ended: nothing is asked for any more. */
  forgetSession(): void {
    for (const claim of this.#claims.values()) {
      claim.asked = null;
      claim.granted = null;
      claim.error = null;
    }
  }
}

function claimName(key: string, mode: Mode): string {
  return `${key}|${mode}`;
}

function collect(groups: Map<string, Group>, claim: Claim, depth: number): void {
  const name = `${claim.mode}|${depth}`;
  const group = groups.get(name);
  if (group) group.instruments.push(claim.instrument);
  else groups.set(name, { mode: claim.mode, depth, instruments: [claim.instrument] });
}
