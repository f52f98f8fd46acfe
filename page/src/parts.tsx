// Small parts that several views share.
import { useState } from "react";
import type { ReactNode } from "react";
import type { ApiError, Schemas } from "./api";
import { send } from "./api";
import { tone } from "./states";
import { ago, moment, span } from "./words";

export const Pill = ({ state }: { state: string }) => (
  <span className={`elt-pill elt-${tone(state)}`}>
    <span className="elt-dot" aria-hidden="true" />
    {state}
  </span>
);

export const Moment = ({ at, zone, now }: { at: string; zone: string; now: number }) => (
  <time dateTime={at} title={`${moment(at, zone)} ${zone}`}>
    {ago(at, now)}
  </time>
);

// no scheduler has given a sign of life: what is due does not begin
export const NoScheduler = () => (
  <p className="elt-callout" role="note">
    <strong>No scheduler runs:</strong> no run begins until one does, whatever its time.
  </p>
);

export const Looked = ({ said, zone }: { said: Schemas["Acknowledged"]; zone: string }) => (
  <span className="elt-tag" title={`${said.why} (${moment(said.at, zone)} ${zone})`}>
    {said.who} takes care of it
  </span>
);

export const Empty = ({ title, children }: { title: string; children?: ReactNode }) => (
  <div className="elt-empty">
    <p className="elt-empty-title">{title}</p>
    {children}
  </div>
);

export const Failed = ({ error, again }: { error: ApiError; again: () => void }) => (
  <div className="elt-empty" role="alert">
    <p className="elt-empty-title">
      {error.status === 403 ? "You may not see this" : error.status === 401 ? "Your session has ended" : "This cannot be shown now"}
    </p>
    <p>{error.status === 403 ? "It needs the permission to read the DAG in Airflow." : error.message}</p>
    <button type="button" className="elt-button" onClick={again}>
      Try again
    </button>
  </div>
);

export const Loading = ({ rows = 8 }: { rows?: number }) => (
  <div className="elt-loading" role="status" aria-label="Loading">
    {Array.from({ length: rows }, (_, number) => (
      <div key={number} className="elt-bone" style={{ animationDelay: `${number * 60}ms` }} />
    ))}
  </div>
);

export const Age = ({ copied, error, now, again, spends = false }: {
  copied?: Schemas["Copied"];
  error?: ApiError;
  now: number;
  again: () => void;
  spends?: boolean;
}) => {
  const seconds = copied?.at ? Math.max(0, (now - new Date(copied.at).getTime()) / 1000) : undefined;
  const kept = copied && copied.warehouse !== "" && copied.warehouse !== "duckdb";
  const text = error
    ? "not reachable: this is what was seen last"
    : seconds === undefined
      ? kept ? "the warehouse was not asked yet" : "no load has been committed yet"
      : `${kept ? `as ${copied.warehouse} said` : "as of the last commit,"} ${span(seconds)} ago`;
  return (
    <p className={`elt-age${error ? " elt-age-lost" : ""}`}>
      <span className="elt-pulse" aria-hidden="true" />
      <span title={copied?.at ? moment(copied.at, "UTC") + " UTC" : undefined}>{text}</span>
      {copied?.note ? <span className="elt-muted"> · {copied.note}</span> : null}
      {kept && spends ? <AskNow again={again} /> : null}
      <button type="button" className="elt-quiet" onClick={again} aria-label="Look again now" title="Look again now">
        ↻
      </button>
    </p>
  );
};

// what is seen of a warehouse that costs is kept: this asks it again, although that may resume it
const AskNow = ({ again }: { again: () => void }) => {
  const [told, setTold] = useState<{ busy?: boolean; error?: string }>({});
  const go = () => {
    setTold({ busy: true });
    send<Schemas["Copied"]>("elt/api/v1/asked", "POST", {}).then(
      () => {
        setTold({});
        again();
      },
      (error: Error) => setTold({ error: error.message }),
    );
  };
  return (
    <>
      <button type="button" className="elt-button elt-small" onClick={go} disabled={told.busy} title="Resumes the warehouse where it is suspended">
        {told.busy ? "Asking…" : "Ask the warehouse now"}
      </button>
      {told.error ? <span className="elt-bad" role="alert">{told.error}</span> : null}
    </>
  );
};

export const Problems = ({ files }: { files: Schemas["BrokenFile"][] }) => (
  <section aria-labelledby="elt-broken" className="elt-broken-files">
    <h2 id="elt-broken">
      {files.length === 1 ? "One YAML makes no DAG" : `${files.length} YAMLs make no DAG`}
    </h2>
    {files.map((file) => (
      <article key={file.file} className="elt-broken-file">
        {file.mistakes.map((one, number) => (
          <div key={number} className="elt-mistake">
            <p>
              <code>
                {file.file}:{one.line}:{one.column}
              </code>{" "}
              <strong>{one.message}</strong> <span className="elt-muted">[{one.code}]</span>
            </p>
            {one.excerpt.length ? <pre tabIndex={0}>{one.excerpt.join("\n")}</pre> : null}
            {one.hint ? <p className="elt-hint">hint: {one.hint}</p> : null}
          </div>
        ))}
      </article>
    ))}
  </section>
);
