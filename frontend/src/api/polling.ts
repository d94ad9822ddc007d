import { useCallback, useEffect, useRef, useState } from "react";
import { failureText, get } from "./client";

export interface Polled<T> {
  data: T | null;
  error: string | null;
  reload: () => Promise<void>;
}

/** The answer of a GET, read again every `interval` milliseconds while the page is shown (once if 0). Old data stays beside an error. */
export function usePolled<T>(path: string, interval = 0): Polled<T> {
  const [data, setData] = useState<T | null>(null);
  const [error, setError] = useState<string | null>(null);
  const aborter = useRef<AbortController | null>(null);

  const reload = useCallback(async () => {
    aborter.current?.abort();
    const mine = new AbortController();
    aborter.current = mine;
    try {
      const answer = await get<T>(path, mine.signal);
      setData(answer);
      setError(null);
    } catch (failure) {
      if (!mine.signal.aborted) setError(failureText(failure));
    }
  }, [path]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let round = 0;
    const run = async (): Promise<void> => {
      round += 1;
      const mine = round;
      await reload();
      if (mine === round && interval > 0 && !document.hidden) timer = setTimeout(run, interval);
    };
    const shown = (): void => {
      clearTimeout(timer);
      if (!document.hidden && interval > 0) void run();
    };
    void run();
    document.addEventListener("visibilitychange", shown);
    return () => {
      round = -1;
      clearTimeout(timer);
      aborter.current?.abort();
      document.removeEventListener("visibilitychange", shown);
    };
  }, [reload, interval]);

  return { data, error, reload };
}
