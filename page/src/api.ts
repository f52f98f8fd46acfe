// Ask the page's API, which is below Airflow's own address whatever its base path is. The session's cookie goes along.
import { useCallback, useEffect, useRef, useState } from "react";
import type { components } from "./api-types";

export type Schemas = components["schemas"];
export type TableRow = Schemas["TableRow"];
export type Overview = Schemas["Overview"];

export class ApiError extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

export const address = (path: string): string => new URL(path, document.baseURI).href;

const said = async (answer: Response): Promise<string> => {
  const text = await answer.text();
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown };
    return typeof detail === "string" ? detail : JSON.stringify(detail ?? text);
  } catch {
    return text || answer.statusText;
  }
};

export const ask = async (path: string, init?: RequestInit): Promise<Response> => {
  const answer = await fetch(address(path), { credentials: "same-origin", ...init });
  if (!answer.ok) {
    throw new ApiError(answer.status, await said(answer));
  }
  return answer;
};

export const get = async <T>(path: string): Promise<T> => (await (await ask(path)).json()) as T;

export const send = async <T>(path: string, method: string, body: unknown): Promise<T> => {
  const answer = await ask(path, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return (await answer.json()) as T;
};

export type Loaded<T> = { data?: T; error?: ApiError; again: () => void };

// Ask again every few seconds while the page is seen. An answer that is the same changes nothing, so nothing flickers.
export function useLive<T>(path: string | undefined, seconds: number): Loaded<T> {
  const [found, setFound] = useState<{ path?: string; data?: T; error?: ApiError }>({});
  const last = useRef("");
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (path === undefined) {
      return undefined;
    }
    const ending = new AbortController();
    let timer = 0;
    const look = async () => {
      try {
        const text = await (await ask(`elt/api/v1/${path}`, { signal: ending.signal })).text();
        const key = `${path}\n${text}`;
        if (key !== last.current) {
          last.current = key;
          setFound({ path, data: JSON.parse(text) as T });
        }
      } catch (error) {
        if (ending.signal.aborted) {
          return;
        }
        last.current = "";
        const told = error instanceof ApiError ? error : new ApiError(0, "Airflow cannot be reached");
        setFound((before) => ({ path, data: before.path === path ? before.data : undefined, error: told }));
      }
      timer = window.setTimeout(seen, seconds * 1000);
    };
    const seen = () => (document.hidden ? (timer = window.setTimeout(seen, 1000)) : void look());
    void look();
    return () => {
      ending.abort();
      window.clearTimeout(timer);
    };
  }, [path, seconds, turn]);
  const again = useCallback(() => setTurn((before) => before + 1), []);
  return found.path === path ? { data: found.data, error: found.error, again } : { again };
}
