/** Delays between attempts: exponential with jitter, so that clients of a server that comes back do not all knock at once. */

export interface BackoffOptions {
  /** The first delay and the longest, in milliseconds. */
  first: number;
  longest: number;
}

export class Backoff {
  #attempt = 0;

  constructor(
    private readonly options: BackoffOptions,
    private readonly random: () => number,
  ) {}

  /** Attempts that failed since the last reset. */
  get attempt(): number {
    return this.#attempt;
  }

  /** The next delay: between half and all of first × 2^attempt, never above the longest. */
  next(): number {
    const full = Math.min(this.options.longest, this.options.first * 2 ** Math.min(this.#attempt, 30));
    this.#attempt += 1;
    return full * (0.5 + 0.5 * this.random());
  }

  reset(): void {
    this.#attempt = 0;
  }
}
