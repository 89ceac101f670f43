/** Who is signed in. The key itself is never kept here: the service gives a cookie that no script can read. */
import { signal } from "@preact/signals";
import { ApiError, ask, call } from "../api/client";
import type { Session } from "../api/types";

export type SessionState =
  | { kind: "asking" }
  | { kind: "in"; session: Session }
  | { kind: "out"; message: string | null }
  | { kind: "unreachable"; message: string };

const WHERE = "/v1/session";

export const session = signal<SessionState>({ kind: "asking" });

export async function findSession(): Promise<void> {
  try {
    session.value = { kind: "in", session: await ask<Session>(WHERE) };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "session_ended") {
      // Its cookie is gone now; a local stack may still be read without one.
      await findAfterEnd();
    } else if (error.status === 401) session.value = { kind: "out", message: null };
    else {
      session.value = { kind: "unreachable", message: error.message };
      setTimeout(() => void findSession(), 2000);
    }
  }
}

async function findAfterEnd(): Promise<void> {
  try {
    session.value = { kind: "in", session: await ask<Session>(WHERE) };
  } catch {
    session.value = {
      kind: "out",
      message: "You were signed out: the session was over, or its key was revoked.",
    };
  }
}

/** Gives false, with a message to show, where the key opens nothing. */
export async function signIn(key: string): Promise<string | null> {
  try {
    session.value = {
      kind: "in",
      session: await call<Session>("POST", WHERE, { Authorization: `Bearer ${key}` }),
    };
    return null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) return "This key opens nothing here: it is mistyped, revoked or expired.";
    if (error.status === 403) return "This key may send but not read. Ask for a key with the scope `read`.";
    return error.message;
  }
}

export async function signOut(): Promise<void> {
  await call("DELETE", WHERE, {});
  session.value = { kind: "asking" };
  await findSession();
}

export function sessionEnded(): void {
  if (session.value.kind === "in") void findSession();
}
