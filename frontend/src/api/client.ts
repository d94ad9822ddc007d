/** Calls of the JSON API: CSRF token, typed failures, one repetition after a stale token. */

import { sentence } from "../format/words";
import type { Session } from "./types";

export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

type Method = "GET" | "POST" | "PATCH" | "DELETE";

let csrfToken = "";
let onLoginRequired = (): void => {};

/** Called when an answer says that the web session has ended. */
export function whenLoginRequired(handler: () => void): void {
  onLoginRequired = handler;
}

export async function loadSession(): Promise<Session> {
  return keepToken(await request<Session>("GET", "/api/session"));
}

export async function changeSession(
  path: "/api/setup" | "/api/login" | "/api/logout" | "/api/password",
  body?: object,
): Promise<Session> {
  return keepToken(await call<Session>("POST", path, body));
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return call<T>("GET", path, undefined, signal);
}

export function post<T>(path: string, body?: object): Promise<T> {
  return call<T>("POST", path, body);
}

export function patch<T>(path: string, body: object): Promise<T> {
  return call<T>("PATCH", path, body);
}

export function remove<T>(path: string): Promise<T> {
  return call<T>("DELETE", path);
}

export function failureText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function keepToken(session: Session): Session {
  csrfToken = session.csrf_token;
  return session;
}

async function call<T>(method: Method, path: string, body?: object, signal?: AbortSignal): Promise<T> {
  try {
    return await request<T>(method, path, body, signal);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "CSRF_FAILED") {
      await loadSession();
      return request<T>(method, path, body, signal);
    }
    if (error.code === "LOGIN_REQUIRED" || error.code === "SETUP_REQUIRED") onLoginRequired();
    throw error;
  }
}

async function request<T>(method: Method, path: string, body?: object, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken;
  if (body) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: "same-origin",
      ...(body && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "UNREACHABLE", "The tickmux server cannot be reached. Is it running?");
  }
  const answer = (await response.json().catch(() => null)) as Record<string, unknown> | null;
  if (response.ok && answer) return answer as T;
  throw new ApiError(
    response.status,
    typeof answer?.code === "string" ? answer.code : "UNEXPECTED",
    typeof answer?.message === "string"
      ? sentence(answer.message)
      : `The server answered ${response.status} without an explanation.`,
    isTexts(answer?.fields)
      ? Object.fromEntries(Object.entries(answer.fields).map(([name, text]) => [name, sentence(text)]))
      : {},
  );
}

function isTexts(value: unknown): value is Record<string, string> {
  return (
    typeof value === "object" && value !== null && Object.values(value).every((text) => typeof text === "string")
  );
}
