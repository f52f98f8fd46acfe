// The part of React Router that the page uses; Airflow's own copy answers.
declare module "react-router-dom" {
  import type { AnchorHTMLAttributes, FC } from "react";
  export const Link: FC<AnchorHTMLAttributes<HTMLAnchorElement> & { to: string }>;
  export function useSearchParams(): [
    URLSearchParams,
    (next: URLSearchParams, options?: { replace?: boolean }) => void,
  ];
}
