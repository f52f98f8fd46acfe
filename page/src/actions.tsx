// What a user can do with a source. The page asks Airflow's own API for it, with the user's own permission: Airflow
// decides whether it may be, and writes it into its audit log.
import { useEffect, useRef, useState } from "react";
import type { ReactNode } from "react";
import type { Schemas } from "./api";
import { ApiError, get, send } from "./api";
import { count, moment, plural, span, windowWords } from "./words";

type Source = Schemas["Source"];
type LoadRow = Schemas["LoadRow"];
export type Wish =
  | { kind: "load"; load: LoadRow; table: string }
  | { kind: "backfill" }
  | { kind: "refresh"; table: string }
  | { kind: "replay"; table: string }
  | { kind: "dismiss"; table: string }
  | { kind: "acknowledge"; table: string }
  | { kind: "pause"; paused: boolean };

export type Done = { words: string; link?: string; linkWords?: string };

const dayIn = (at: number, zone: string): string => new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(at);

const runLink = (dag: string, run: string): string => new URL(`dags/${dag}/runs/${encodeURIComponent(run)}`, document.baseURI).href;

const trigger = async (source: Source, conf: Record<string, unknown>, words: string): Promise<Done> => {
  const run = await send<{ dag_run_id: string }>(`api/v2/dags/${encodeURIComponent(source.name)}/dagRuns`, "POST", {
    logical_date: null,
    conf,
    note: `${words}, from the Sources page`,
  });
  return { words: `${words}: the run is queued`, link: runLink(source.name, run.dag_run_id) };
};

// states in which there is nothing to take care of
const QUIET = new Set(["fresh", "paused", "never loaded"]);

export const Actions = ({ source, table, wish, setWish }: {
  source: Source;
  table: string;
  wish: Wish | undefined;
  setWish: (wish: Wish | undefined) => void;
}) => {
  const [done, setDone] = useState<Done>();
  const paused = source.tables[0]?.paused ?? false;
  const finish = (result: Done) => {
    setDone(result);
    setWish(undefined);
  };
  const row = source.tables.find((one) => one.table === table);
  const button = (words: string, next: Wish) => (
    <button type="button" className="elt-button" onClick={() => setWish(next)}>
      {words}…
    </button>
  );
  if (!source.may_run && !source.may_edit) {
    return <p className="elt-note">You may read this source, and neither start runs of it nor change it.</p>;
  }
  return (
    <>
      <div className="elt-actions" role="group" aria-label="Actions">
        {source.may_run ? (
          <>
            {button("Backfill", { kind: "backfill" })}
            {table ? button("Full refresh", { kind: "refresh", table }) : null}
            {table && row?.open_rejects ? button("Replay rejects", { kind: "replay", table }) : null}
            {table && row?.open_rejects ? button("Dismiss rejects", { kind: "dismiss", table }) : null}
          </>
        ) : null}
        {source.may_edit ? (
          <>
            {row && !QUIET.has(row.state) ? button("Acknowledge", { kind: "acknowledge", table }) : null}
            {button(paused ? "Resume" : "Pause", { kind: "pause", paused: !paused })}
          </>
        ) : null}
      </div>
      <div role="status">
        {done ? (
          <p className="elt-done">
            {done.words}{" "}
            {done.link ? <a href={done.link}>{done.linkWords ?? "Open the run"}</a> : null}
            <button type="button" className="elt-quiet" aria-label="Hide" onClick={() => setDone(undefined)}>×</button>
          </p>
        ) : null}
      </div>
      {wish ? <Window wish={wish} source={source} paused={paused} finish={finish} close={() => setWish(undefined)} /> : null}
    </>
  );
};

type Inside = { source: Source; paused: boolean; finish: (done: Done) => void; close: () => void };

const Window = ({ wish, ...rest }: Inside & { wish: Wish }) => {
  switch (wish.kind) {
    case "load":
      return <LoadAgain {...rest} wish={wish} />;
    case "backfill":
      return <Backfill {...rest} />;
    case "refresh":
      return <Refresh {...rest} table={wish.table} />;
    case "replay":
      return <Replay {...rest} table={wish.table} />;
    case "dismiss":
      return <Dismiss {...rest} table={wish.table} />;
    case "acknowledge":
      return <Acknowledge {...rest} table={wish.table} />;
    case "pause":
      return <Pause {...rest} pause={wish.paused} />;
  }
};

const Dialog = ({ title, children, act, verb, ready, close, danger }: {
  title: string;
  children: ReactNode;
  act: () => Promise<void>;
  verb: string;
  ready: boolean;
  close: () => void;
  danger?: boolean;
}) => {
  const box = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    box.current?.showModal();
  }, []);
  const go = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await act();
    } catch (problem) {
      const status = problem instanceof ApiError ? problem.status : 0;
      setError(status === 403 ? "Airflow does not permit you to do this." : String((problem as Error).message));
      setBusy(false);
    }
  };
  return (
    <dialog ref={box} className="elt-dialog" onClose={close} aria-labelledby="elt-dialog-title">
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready && !busy) void go();
        }}
      >
        <h2 id="elt-dialog-title">{title}</h2>
        {children}
        {error ? (
          <p className="elt-bad" role="alert">
            {error}
          </p>
        ) : null}
        <div className="elt-dialog-end">
          <button type="button" className="elt-button" onClick={close}>
            Cancel
          </button>
          <button type="submit" className={`elt-button ${danger ? "elt-danger" : "elt-main"}`} disabled={!ready || busy}>
            {busy ? "Working…" : verb}
          </button>
        </div>
      </form>
    </dialog>
  );
};

const PausedHint = ({ paused }: { paused: boolean }) =>
  paused ? <p className="elt-callout">This source is paused: the run waits until it is resumed.</p> : null;

const LoadAgain = ({ source, paused, finish, close, wish }: Inside & { wish: Extract<Wish, { kind: "load" }> }) => {
  const { load, table } = wish;
  const words = windowWords(load.window_start, load.window_end, source.timezone);
  const conf = { tables: [table], window_start: load.window_start, window_end: load.window_end };
  return (
    <Dialog title={`Load ${words} again`} verb="Load again" ready close={close}
      act={async () => finish(await trigger(source, conf, `Load ${table} of ${words} again`))}>
      <p>
        The window of <strong>{source.name}.{table}</strong> is read again. Its rows take the place of the {count(load.loaded + load.unchanged)} that it
        brought before, in one transaction; other windows stay as they are.
      </p>
      <p className="elt-note">{moment(load.window_start, source.timezone)} to {moment(load.window_end, source.timezone)}, {source.timezone}</p>
      <PausedHint paused={paused} />
    </Dialog>
  );
};

type Preview = Schemas["Backfill"];
type BackfillWindow = Schemas["BackfillWindow"];
const MOST = 400; // windows that a browser starts runs of

const usePreview = (source: string, first: string, last: string): { preview?: Preview; problem?: string } => {
  const [found, setFound] = useState<{ preview?: Preview; problem?: string }>({});
  useEffect(() => {
    setFound({});
    if (!first || !last || first > last) return undefined;
    let current = true;
    const timer = window.setTimeout(() => {
      const days = new URLSearchParams({ first, last });
      get<Preview>(`elt/api/v1/sources/${encodeURIComponent(source)}/backfill?${days.toString()}`).then(
        (preview) => current && setFound({ preview }),
        (error: Error) => current && setFound({ problem: error.message }),
      );
    }, 250);
    return () => {
      current = false;
      window.clearTimeout(timer);
    };
  }, [source, first, last]);
  return found;
};

const sum = (values: (number | null)[]): number | undefined => {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((one, other) => one + other, 0) : undefined;
};

const keyOf = (window: BackfillWindow) => JSON.stringify([window.start, window.tables]);

const Backfill = ({ source, paused, finish, close }: Inside) => {
  const zone = source.timezone;
  const [from, setFrom] = useState(dayIn(Date.now() - 8 * 86_400_000, zone));
  const [to, setTo] = useState(dayIn(Date.now() - 86_400_000, zone));
  const [only, setOnly] = useState(true);
  const [begun, setBegun] = useState<ReadonlySet<string>>(new Set()); // windows: none is begun again after a failure
  const { preview, problem } = usePreview(source.name, from, to);
  const ready = Boolean(from && to && from <= to);
  const windows = preview?.windows.filter(({ loaded }) => !only || !loaded) ?? [];
  const rest = windows.filter((window) => !begun.has(keyOf(window)));
  const act = async () => {
    for (const window of rest) {
      await trigger(source, window.conf, `Backfill of ${windowWords(window.start, window.end, zone)}`);
      setBegun((before) => new Set(before).add(keyOf(window)));
    }
    const words = `The backfill of ${plural(windows.length, "window")} has begun: a run for each, in their order.`;
    finish({ words, link: new URL(`dags/${source.name}/runs`, document.baseURI).href, linkWords: "Open the runs" });
  };
  return (
    <Dialog title={`Backfill ${source.name}`} verb={rest.length ? `Backfill ${plural(rest.length, "window")}` : "Backfill"}
      ready={rest.length > 0 && windows.length <= MOST} close={close} act={act}>
      <p>Days are those of <strong>{zone}</strong>, as in the config.</p>
      <div className="elt-fields">
        <label>
          From
          <input className="elt-input" type="date" value={from} max={to} onChange={(event) => setFrom(event.target.value)} />
        </label>
        <label>
          To, included
          <input className="elt-input" type="date" value={to} min={from} onChange={(event) => setTo(event.target.value)} />
        </label>
      </div>
      <label className="elt-check">
        <input type="checkbox" checked={only} onChange={(event) => setOnly(event.target.checked)} /> Only the gaps: windows that are not loaded, or whose run did not end well
      </label>
      <div className="elt-preview" aria-live="polite">
        {problem ? <p className="elt-bad">{problem}</p> : null}
        {!ready ? <p className="elt-bad">The first day must not be after the last one.</p> : null}
        {ready && !preview && !problem ? <p className="elt-muted">Asking which windows…</p> : null}
        {preview ? <Windows preview={preview} windows={windows} /> : null}
        {windows.length > rest.length ? <p role="status">{count(windows.length - rest.length)} of {plural(windows.length, "run")} begun</p> : null}
      </div>
      <PausedHint paused={paused} />
    </Dialog>
  );
};

const Windows = ({ preview, windows }: { preview: Preview; windows: BackfillWindow[] }) => {
  const [rows, seconds] = [sum(windows.map((one) => one.rows)), sum(windows.map((one) => one.seconds))];
  const cost = [rows === undefined ? "" : `about ${plural(rows, "row")}`, seconds === undefined ? "" : `about ${span(seconds)}`];
  return (
    <>
      {preview.why ? <p className="elt-bad">{preview.why}</p> : null}
      <p>
        <strong>{windows.length ? plural(windows.length, "window") : "No window"}</strong>
        {windows.length ? [" would be loaded, the oldest first", ...cost].filter(Boolean).join(", ") : " in these days is left to load"}
        {windows.length && rows !== undefined ? ", as earlier runs were." : "."}
      </p>
      {windows.length > MOST ? <p className="elt-bad">More than {MOST} are for the command line: <code>elt backfill</code> resumes where it was ended.</p> : null}
      <ul tabIndex={0} aria-label="Windows">
        {windows.slice(0, MOST).map((one) => (
          <li key={keyOf(one)}>
            {windowWords(one.start, one.end, preview.timezone)}
            <span className="elt-muted">{one.loaded ? " · loaded, again" : ""}{one.tables.length > 1 ? ` · ${one.tables.join(", ")}` : ""}</span>
          </li>
        ))}
      </ul>
      {Object.entries(preview.never).map(([table, why]) => (
        <p key={table} className="elt-note">{table} is left out: {why}</p>
      ))}
    </>
  );
};

const Refresh = ({ source, paused, finish, close, table }: Inside & { table: string }) => {
  const [typed, setTyped] = useState("");
  const row = source.tables.find((one) => one.table === table);
  const label = `${source.name}.${table}`;
  return (
    <Dialog title={`Full refresh of ${label}`} verb="Replace all rows" danger ready={typed === label} close={close}
      act={async () => finish(await trigger(source, { tables: [table], full_refresh: true }, `Full refresh of ${table}`))}>
      <p>
        The table is read again <strong>{source.covers}</strong> and <strong>all its rows are replaced</strong> in one transaction
        {row?.loads.length ? `: those of all its loads, the last of which brought ${plural(row.loads[row.loads.length - 1] ?? 0, "row")}` : ""}.
        Until it is committed the table stays as it is.
      </p>
      <label>
        To confirm, type <code>{label}</code>
        <input className="elt-input elt-wide" value={typed} onChange={(event) => setTyped(event.target.value)} autoComplete="off" spellCheck={false} />
      </label>
      <PausedHint paused={paused} />
    </Dialog>
  );
};

const openRejects = (source: Source, table: string): string => plural(source.tables.find((one) => one.table === table)?.open_rejects ?? 0, "open reject");

const Replay = ({ source, paused, finish, close, table }: Inside & { table: string }) => {
  const row = source.tables.find((one) => one.table === table);
  const window = row?.window_start && row.window_end ? { window_start: row.window_start, window_end: row.window_end } : {};
  return (
    <Dialog title={`Replay rejects of ${source.name}.${table}`} verb="Replay rejects" ready close={close}
      act={async () => finish(await trigger(source, { tables: [table], replay_rejects: true, ...window }, `Replay rejects of ${table}`))}>
      <p>
        For use after the YAML was corrected. A run loads the newest window again, then puts the {openRejects(source, table)} once more through the contract
        as it is now. What is valid is loaded and healed, the rest stays open.
      </p>
      <PausedHint paused={paused} />
    </Dialog>
  );
};

const Reason = ({ label, typed, setTyped }: { label: string; typed: string; setTyped: (text: string) => void }) => (
  <label>
    {label}
    <input className="elt-input elt-wide" value={typed} maxLength={500} onChange={(event) => setTyped(event.target.value)} autoComplete="off" />
  </label>
);

const Dismiss = ({ source, paused, finish, close, table }: Inside & { table: string }) => {
  const [typed, setTyped] = useState("");
  return (
    <Dialog title={`Dismiss rejects of ${source.name}.${table}`} verb="Dismiss rejects" danger ready={Boolean(typed.trim())} close={close}
      act={async () => finish(await trigger(source, { tables: [table], dismiss_rejects: typed.trim() }, `Dismiss rejects of ${table}`))}>
      <p>
        A run closes the {openRejects(source, table)} <strong>without loading them</strong>, and does nothing else. Who did so, when and why stays in{" "}
        <code>_elt.reject_states</code>.
      </p>
      <Reason label="Why these rows need not be loaded" typed={typed} setTyped={setTyped} />
      <PausedHint paused={paused} />
    </Dialog>
  );
};

const Acknowledge = ({ source, finish, close, table }: Inside & { table: string }) => {
  const [typed, setTyped] = useState("");
  const label = table ? `${source.name}.${table}` : source.name;
  const act = async () => {
    await send(`elt/api/v1/sources/${encodeURIComponent(source.name)}/acknowledgement`, "POST", { table, why: typed.trim() });
    finish({ words: `It is shown next to ${label} that you take care of it.`, link: new URL(`dags/${source.name}/events`, document.baseURI).href, linkWords: "Open the audit log" });
  };
  return (
    <Dialog title={`Acknowledge what is wrong with ${label}`} verb="Acknowledge" ready={Boolean(typed.trim())} close={close} act={act}>
      <p>
        Your name and your words appear next to the state, and in Airflow&apos;s audit log. It ends with the next load, or when something else is wrong. Alerts are
        sent all the same.
      </p>
      <Reason label="What is being done about it" typed={typed} setTyped={setTyped} />
    </Dialog>
  );
};

const Pause = ({ source, finish, close, pause }: Inside & { pause: boolean }) => {
  const act = async () => {
    await send(`api/v2/dags/${encodeURIComponent(source.name)}?update_mask=is_paused`, "PATCH", { is_paused: pause });
    finish({ words: pause ? `${source.name} is paused.` : `${source.name} is resumed.` });
  };
  return (
    <Dialog title={pause ? `Pause ${source.name}` : `Resume ${source.name}`} verb={pause ? "Pause" : "Resume"} ready close={close} act={act}>
      <p>
        {pause
          ? "Its schedule starts no runs until it is resumed. A run that is under way is finished; sources that wait for it keep waiting."
          : "Its schedule starts runs again, and the runs that are queued begin."}
      </p>
    </Dialog>
  );
};
