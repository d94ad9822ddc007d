import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { changeSession, failureText, loadSession, whenLoginRequired } from "../api/client";
import type { Session } from "../api/types";
import { sharedClient } from "../market/shared";

interface SessionContext {
  session: Session | null;
  /** Why the session could not be read. */
  error: string | null;
  retry: () => void;
  setup: (username: string, password: string, code: string) => Promise<void>;
  login: (username: string, password: string) => Promise<void>;
  logout: () => Promise<void>;
  /** Replaces the password; all other sessions of the user end. */
  changePassword: (password: string, newPassword: string) => Promise<void>;
}

const Context = createContext<SessionContext | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const [session, setSession] = useState<Session | null>(null);
  const [error, setError] = useState<string | null>(null);

  const retry = useCallback(() => {
    loadSession().then(
      (loaded) => {
        setSession(loaded);
        setError(null);
      },
      (failure: unknown) => setError(failureText(failure)),
    );
  }, []);

  useEffect(() => {
    retry();
    whenLoginRequired(retry);
  }, [retry]);

  const value = useMemo<SessionContext>(() => {
    const change = async (path: Parameters<typeof changeSession>[0], body?: object): Promise<void> => {
      const changed = await changeSession(path, body);
      // The key of the socket is bound to the session.
      if (changed.authenticated) sharedClient().connect();
      else sharedClient().disconnect();
      setSession(changed);
    };
    return {
      session,
      error,
      retry,
      setup: (username, password, code) => change("/api/setup", { username, password, code }),
      login: (username, password) => change("/api/login", { username, password }),
      logout: () => change("/api/logout"),
      changePassword: async (password, newPassword) => {
        setSession(await changeSession("/api/password", { password, new_password: newPassword }));
      },
    };
  }, [session, error, retry]);

  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useSession(): SessionContext {
  const context = useContext(Context);
  if (!context) throw new Error("useSession needs a SessionProvider around it");
  return context;
}
