// All tables: counts on top, broken YAMLs first, then a row each, problems first.
import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import type { KeyboardEvent, ReactNode } from "react";
import { Link } from "react-router-dom";
import type { Overview, TableRow } from "./api";
import { useLive } from "./api";
import { Age, Empty, Failed, Loading, Looked, Moment, NoScheduler, Pill, Problems } from "./parts";
import { Spark } from "./spark";
import { STATES, tone, urgency } from "./states";
import { Search } from "./search";
import { sourceLink, useView } from "./view";
import { count, moment, plural, share, short, span, useNow, windowWords } from "./words";

const PAGE = 60; // rows that are drawn together

type Column = { key: string; title: string; value?: (row: TableRow) => number | string; right?: boolean };

const epoch = (text: string | null): number => (text ? new Date(text).getTime() : 0);

const COLUMNS: Column[] = [
  { key: "table", title: "Table", value: (row) => `${row.source}.${row.table}` },
  { key: "state", title: "State", value: (row) => urgency(row.state) },
  { key: "business", title: "Business date", value: (row) => epoch(row.business_at) },
  { key: "loaded", title: "Last load", value: (row) => -epoch(row.loaded_at) },
  { key: "rows", title: "Rows", value: (row) => -(row.loads[row.loads.length - 1] ?? -1) },
  { key: "rejects", title: "Rejected", value: (row) => -(row.rows_rejected / Math.max(row.rows_read, 1)) - row.open_rejects / 1e12 },
  { key: "checks", title: "Quality", value: (row) => -(row.checks.failed * 1000 + row.checks.warned) },
  { key: "next", title: "Next run", value: (row) => epoch(row.next_run_at) || Infinity },
  { key: "owner", title: "Owner", value: (row) => row.owner },
];

const compare = (one: number | string, other: number | string): number => (one < other ? -1 : one > other ? 1 : 0);

const sorted = (rows: TableRow[], sort: string): TableRow[] => {
  const down = sort.startsWith("-");
  const column = COLUMNS.find(({ key }) => key === sort.replace(/^-/, ""));
  const value = column?.value ?? ((row: TableRow) => urgency(row.state));
  return [...rows].sort(
    (one, other) =>
      compare(value(one), value(other)) * (down ? -1 : 1) ||
      compare(urgency(one.state), urgency(other.state)) ||
      compare(`${one.source}.${one.table}`, `${other.source}.${other.table}`),
  );
};

const matches = (row: TableRow, words: string[]): boolean => {
  const text = `${row.source}.${row.table} ${row.owner} ${row.tags.join(" ")} ${row.description} ${row.sentence}`.toLowerCase();
  return words.every((word) => text.includes(word));
};

export const SourcesList = () => {
  const { data, error, again } = useLive<Overview>("overview", 5);
  const now = useNow();
  return (
    <div className="elt-page">
      <header className="elt-head">
        <h1>Sources</h1>
        {data ? <Age copied={data.copied} error={error} now={now} again={again} spends={data.may_run.length > 0} /> : null}
        <span className="elt-links">
          <Link to="/plugin/sources?view=new">New source</Link>
          <Link to="/plugin/sources?view=catalogue">Catalogue</Link>
        </span>
      </header>
      {data ? <Found data={data} now={now} /> : error ? <Failed error={error} again={again} /> : <Loading />}
    </div>
  );
};

const Found = ({ data, now }: { data: Overview; now: number }) => {
  const [view, change] = useView();
  const [state, owner, tag] = ["state", "owner", "tag"].map((name) => view.get(name) ?? "");
  const sort = view.get("sort") ?? "state";
  const search = useDeferredValue(view.get("q") ?? "");
  const counts = useMemo(() => {
    const found = new Map<string, number>();
    for (const row of data.tables) found.set(row.state, (found.get(row.state) ?? 0) + 1);
    return found;
  }, [data]);
  const rows = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = data.tables.filter(
      (row) =>
        (!state || row.state === state) && (!owner || row.owner === owner) && (!tag || row.tags.includes(tag)) && matches(row, words),
    );
    return sorted(wanted, sort);
  }, [data, state, owner, tag, search, sort]);
  if (data.tables.length === 0 && data.broken.length === 0 && data.copied.note) {
    return <Empty title="Nothing was read yet"><p>{data.copied.note}</p></Empty>;
  }
  if (data.tables.length === 0 && data.broken.length === 0) {
    return (
      <Empty title="There is no source that you may see yet">
        <p>
          Write <code>dag_configs/&lt;name&gt;.yaml</code>, or let <code>elt new</code> write it: its DAG and its tables appear here
          within seconds.
        </p>
      </Empty>
    );
  }
  return (
    <>
      {data.broken.length ? <Problems files={data.broken} /> : null}
      {data.scheduled ? null : <NoScheduler />}
      <Tiles counts={counts} chosen={state ?? ""} choose={(next) => change({ state: next === state ? null : next })} />
      <Toolbar rows={data.tables} view={view} change={change} shown={rows.length} />
      {rows.length ? (
        <Rows rows={rows} now={now} sort={sort} change={(next) => change({ sort: next })} />
      ) : (
        <Empty title="No table fits these filters">
          <button type="button" className="elt-button" onClick={() => change({ state: null, owner: null, tag: null, q: null })}>
            Show all
          </button>
        </Empty>
      )}
    </>
  );
};

const Tiles = ({ counts, chosen, choose }: { counts: Map<string, number>; chosen: string; choose: (state: string) => void }) => {
  const always = new Set(["late", "failing", "rejecting", "waiting", "fresh"]);
  return (
    <div className="elt-tiles" role="group" aria-label="Filter by state">
      {STATES.filter((state) => always.has(state) || counts.get(state)).map((state) => (
        <button
          key={state}
          type="button"
          className={`elt-tile elt-${tone(state)}${counts.get(state) ? "" : " elt-none"}`}
          aria-pressed={chosen === state}
          onClick={() => choose(state)}
        >
          <span className="elt-tile-count">{count(counts.get(state) ?? 0)}</span>
          <span className="elt-tile-word">
            <span className="elt-dot" aria-hidden="true" />
            {state}
          </span>
        </button>
      ))}
    </div>
  );
};

const Toolbar = ({ rows, view, change, shown }: {
  rows: TableRow[];
  view: URLSearchParams;
  change: (wanted: Record<string, string | null>) => void;
  shown: number;
}) => {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const slash = (event: globalThis.KeyboardEvent) => {
      const inField = event.target instanceof HTMLElement && event.target.closest("input, textarea, select, [contenteditable]");
      if (event.key === "/" && !inField && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        field.current?.focus();
      }
    };
    document.addEventListener("keydown", slash);
    return () => document.removeEventListener("keydown", slash);
  }, []);
  const owners = [...new Set(rows.map((row) => row.owner))].sort();
  const tags = [...new Set(rows.flatMap((row) => row.tags))].sort();
  return (
    <div className="elt-toolbar">
      <Search field={field} hint="Search tables, owners, words ( / )" />
      <Choice name="Owner" all="All owners" options={owners} value={view.get("owner") ?? ""} choose={(owner) => change({ owner })} />
      {tags.length ? (
        <Choice name="Tag" all="All tags" options={tags} value={view.get("tag") ?? ""} choose={(tag) => change({ tag })} />
      ) : null}
      <span className="elt-shown" role="status">
        {shown === rows.length ? plural(shown, "table") : `${count(shown)} of ${plural(rows.length, "table")}`}
      </span>
    </div>
  );
};

const Choice = ({ name, all, options, value, choose }: {
  name: string;
  all: string;
  options: string[];
  value: string;
  choose: (value: string) => void;
}) => (
  <select className="elt-select" aria-label={name} value={value} onChange={(event) => choose(event.target.value)}>
    <option value="">{all}</option>
    {options.map((option) => (
      <option key={option}>{option}</option>
    ))}
  </select>
);

// up and down move between rows
const onArrows = (event: KeyboardEvent<HTMLElement>) => {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (step === 0) return;
  const links = [...event.currentTarget.querySelectorAll<HTMLElement>("a.elt-name")];
  const next = links[links.indexOf(document.activeElement as HTMLElement) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
};

const Rows = ({ rows, now, sort, change }: { rows: TableRow[]; now: number; sort: string; change: (sort: string) => void }) => {
  const [limit, setLimit] = useState(PAGE);
  const end = useRef<HTMLDivElement>(null);
  const more = rows.length > limit;
  useEffect(() => {
    if (!more || !end.current) return undefined;
    const watch = new IntersectionObserver((found) => found.some((one) => one.isIntersecting) && setLimit((before) => before + PAGE), {
      rootMargin: "600px",
    });
    watch.observe(end.current);
    return () => watch.disconnect();
  }, [more, limit]);
  return (
    <div className="elt-sheet" onKeyDown={onArrows}>
      <table>
        <caption className="elt-hidden">Tables, with their state and their last loads</caption>
        <thead>
          <tr>
            {COLUMNS.map((column) => (
              <Head key={column.key} column={column} sort={sort} change={change} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, limit).map((row) => (
            <Row key={`${row.source}.${row.table}`} row={row} now={now} />
          ))}
        </tbody>
      </table>
      {more ? (
        <div ref={end} className="elt-more">
          <button type="button" className="elt-button" onClick={() => setLimit((before) => before + 10 * PAGE)}>
            Show more of {count(rows.length)}
          </button>
        </div>
      ) : null}
    </div>
  );
};

const Head = ({ column, sort, change }: { column: Column; sort: string; change: (sort: string) => void }) => {
  const up = sort === column.key;
  const down = sort === `-${column.key}`;
  return (
    <th scope="col" aria-sort={up ? "ascending" : down ? "descending" : "none"}>
      <button type="button" onClick={() => change(up ? `-${column.key}` : column.key)}>
        {column.title}
        <span className="elt-arrow" aria-hidden="true">
          {up ? "↑" : down ? "↓" : ""}
        </span>
      </button>
    </th>
  );
};

const Cell = ({ title, children }: { title: string; children: ReactNode }) => (
  <td data-title={title}>
    <div className="elt-cell">{children}</div>
  </td>
);

const Row = ({ row, now }: { row: TableRow; now: number }) => (
  <tr className={`elt-row elt-${tone(row.state)}`}>
    <th scope="row">
      <Link className="elt-name" to={sourceLink(row.source, row.table)}>
        <span className="elt-muted">{row.table ? `${row.source}.` : ""}</span>
        <span className="elt-strong">{row.table || row.source}</span>
      </Link>
      {row.description ? <span className="elt-note">{row.description}</span> : null}
    </th>
    <td data-title="State" className="elt-state">
      <Pill state={row.state} />
      {row.acknowledged ? <Looked said={row.acknowledged} zone={row.timezone} /> : null}
      <span className="elt-note elt-sentence" title={row.sentence}>{row.sentence}</span>
    </td>
    <Cell title="Business date">
      <Business row={row} now={now} />
    </Cell>
    <Cell title="Last load">
      {row.loaded_at ? (
        <>
          <Moment at={row.loaded_at} zone={row.timezone} now={now} />
          {row.window_start && row.window_end ? (
            <span className="elt-note" title={`The window that was loaded, ${row.timezone}`}>
              {windowWords(row.window_start, row.window_end, row.timezone)}
            </span>
          ) : null}
          {row.cursor ? (
            <span className="elt-note elt-cursor" title={`Cursor: ${row.cursor}`}>
              ↦ {row.cursor.slice(0, 19).replace("T", " ")}
            </span>
          ) : null}
        </>
      ) : (
        <span className="elt-muted">–</span>
      )}
    </Cell>
    <Cell title="Rows">
      <Spark loads={row.loads} failed={row.failed_loads} band={row.band ?? null} />
      {row.loads.length ? <span className="elt-note">{short(row.loads[row.loads.length - 1] ?? 0)} rows</span> : null}
    </Cell>
    <Cell title="Rejected">
      <Rejected row={row} />
    </Cell>
    <Cell title="Quality">
      <Quality checks={row.checks} />
    </Cell>
    <Cell title="Next run">
      <NextRun row={row} now={now} />
    </Cell>
    <Cell title="Owner">{row.owner}</Cell>
  </tr>
);

const Business = ({ row, now }: { row: TableRow; now: number }) => {
  if (!row.business_date) return <span className="elt-muted">–</span>;
  const lag = row.business_at ? (now - new Date(row.business_at).getTime()) / 1000 : undefined;
  return (
    <>
      <span>{row.business_date.slice(0, 10)}</span>
      <span className="elt-note" title={row.business_limit ? "Between it and now; the limit counts from a window's end" : undefined}>
        {lag === undefined ? "" : lag < 0 ? "today" : `${span(lag)} ago`}
        {row.business_limit ? ` · limit ${span(row.business_limit)}` : ""}
      </span>
    </>
  );
};

const Rejected = ({ row }: { row: TableRow }) => {
  if (!row.loads.length) return <span className="elt-muted">–</span>;
  return (
    <>
      <span className={row.rows_rejected ? "elt-warn" : "elt-muted"}>{share(row.rows_rejected, row.rows_read)}</span>
      {row.open_rejects ? (
        <Link className="elt-note elt-link" to={sourceLink(row.source, row.table, "rejects")}>
          {count(row.open_rejects)} open
        </Link>
      ) : null}
    </>
  );
};

const Quality = ({ checks }: { checks: TableRow["checks"] }) => {
  if (checks.passed + checks.warned + checks.failed === 0) return <span className="elt-muted">–</span>;
  const words = [
    checks.failed ? `${checks.failed} failed` : "",
    checks.warned ? `${checks.warned} warned` : "",
    checks.passed ? `${checks.passed} passed` : "",
  ].filter(Boolean);
  const kind = checks.failed ? "elt-bad" : checks.warned ? "elt-warn" : "elt-good";
  return (
    <span className={kind} title={checks.worst || words.join(", ")}>
      <span aria-hidden="true">{checks.failed ? "✕" : checks.warned ? "!" : "✓"} </span>
      {words[0]}
    </span>
  );
};

const NextRun = ({ row, now }: { row: TableRow; now: number }) => {
  if (row.paused) return <span className="elt-muted">paused</span>;
  const left = row.deadline_at ? (new Date(row.deadline_at).getTime() - now) / 1000 : undefined;
  return (
    <>
      {!row.next_run_at ? (
        <span className="elt-muted">by hand</span>
      ) : Date.parse(row.next_run_at) > now ? (
        <Moment at={row.next_run_at} zone={row.timezone} now={now} />
      ) : (
        <time dateTime={row.next_run_at} title={`${moment(row.next_run_at, row.timezone)} ${row.timezone}`}>due now</time>
      )}
      {left === undefined ? null : (
        <span className={`elt-note${left < 0 ? " elt-bad" : left < 3600 ? " elt-warn" : ""}`} title={`Deadline: ${row.deadline}`}>
          {left < 0 ? `deadline missed by ${span(left)}` : `deadline in ${span(left)}`}
        </span>
      )}
    </>
  );
};
