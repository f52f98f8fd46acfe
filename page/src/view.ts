// The view is in the URL, so that it can be kept and sent.
import { useCallback } from "react";
import { useSearchParams } from "react-router-dom";

export type Change = Record<string, string | null>;

export const useView = (): [URLSearchParams, (change: Change, replace?: boolean) => void] => {
  const [params, setParams] = useSearchParams();
  const change = useCallback(
    (wanted: Change, replace = true) => {
      const next = new URLSearchParams(params);
      for (const [name, value] of Object.entries(wanted)) {
        if (value === null || value === "") next.delete(name);
        else next.set(name, value);
      }
      setParams(next, { replace });
    },
    [params, setParams],
  );
  return [params, change];
};

export const sourceLink = (source: string, table?: string, tab?: string): string => {
  const params = new URLSearchParams({ source });
  if (table) params.set("table", table);
  if (tab) params.set("tab", tab);
  return `/plugin/sources?${params.toString()}`;
};
