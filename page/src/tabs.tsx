// What is known of a source, a tab for each kind of question.
import type { ReactNode } from "react";
import type { Loaded, Schemas, TableRow } from "./api";
import { useLive } from "./api";
import { GraphView } from "./graph";
import { Empty, Failed, Loading } from "./parts";
import { Calendar, Plot, seconds } from "./plots";
import type { Point } from "./plots";
import { count, moment, plural, share, short, span, windowWords } from "./words";

type Source = Schemas["Source"];
type LoadRow = Schemas["LoadRow"];
export type TabProps = { source: Source; table: string; again?: (load: LoadRow) => void };

function Asked<T>({ answer, children }: { answer: Loaded<T>; children: (data: T) => ReactNode }) {
  if (answer.data !== undefined) return <>{children(answer.data)}</>;
  return answer.error ? <Failed error={answer.error} again={answer.again} /> : <Loading rows={4} />;
}

const path = (source: Source, rest: string): string => `sources/${encodeURIComponent(source.name)}/${rest}`;
const runLink = (source: string, run: string): string => new URL(`dags/${source}/runs/${encodeURIComponent(run)}`, document.baseURI).href;

const WithLoads = ({ source, table, children }: TabProps & { children: (loads: Schemas["Loads"]) => ReactNode }) => {
  const answer = useLive<Schemas["Loads"]>(table ? path(source, `tables/${encodeURIComponent(table)}/loads`) : undefined, 10);
  if (!table) return <Empty title="This config loads no table of its own">It transforms what others load.</Empty>;
  return <Asked answer={answer}>{(data) => (data.loads.length ? children(data) : <Empty title="No load has been committed yet" />)}</Asked>;
};

const Sheet = ({ heads, caption, children }: { heads: string[]; caption: string; children: ReactNode }) => (
  <div className="elt-table" tabIndex={0} role="region" aria-label={caption}>
    <table>
      <caption className="elt-hidden">{caption}</caption>
      <thead>
        <tr>
          {heads.map((head) => (
            <th key={head} scope="col" className={head.endsWith("›") ? "elt-right" : undefined}>
              {head.replace("›", "")}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  </div>
);

const Figure = ({ value, kind }: { value: number; kind?: string }) => (
  <td className={`elt-right ${value ? (kind ?? "") : "elt-muted"}`}>{count(value)}</td>
);

export const LoadsTab = (props: TabProps) => (
  <WithLoads {...props}>
    {({ loads, gaps, timezone, more }) => (
      <>
        <Calendar loads={loads} zone={timezone} />
        {gaps.length ? (
          <p className="elt-callout">
            <strong>{plural(gaps.length, "gap")} between the windows: </strong>
            {gaps.slice(0, 4).map((gap) => windowWords(gap.start, gap.end, timezone)).join("; ")}
            {gaps.length > 4 ? "; …" : ""}
          </p>
        ) : null}
        <p className="elt-note">
          read = loaded + rejected + duplicate + unchanged + filtered + withheld, checked with every load. Windows in {timezone}.
        </p>
        <Sheet
          caption="Loads, the newest window first"
          heads={["Window", "Read ›", "Loaded ›", "Rejected ›", "Duplicate ›", "Unchanged ›", "Other ›", "Took ›", "Committed", ...(props.again ? [""] : [])]}
        >
          {loads.map((load) => (
            <tr key={load.load_id} className={load.replaced ? "elt-gone" : undefined}>
              <th scope="row">
                {windowWords(load.window_start, load.window_end, timezone)}
                {load.full_refresh ? <span className="elt-tag">full refresh</span> : null}
                {load.failed ? <span className="elt-tag elt-tag-bad">failed</span> : null}
                {load.replaced ? <span className="elt-tag">replaced by a full refresh</span> : null}
              </th>
              <Figure value={load.read} />
              <Figure value={load.loaded} />
              <Figure value={load.rejected} kind="elt-warn" />
              <Figure value={load.duplicate} />
              <Figure value={load.unchanged} />
              <td className="elt-right elt-muted" title="filtered, withheld, deleted">
                {[load.filtered && `${count(load.filtered)} filtered`, load.withheld && `${count(load.withheld)} withheld`, load.deleted && `${count(load.deleted)} deleted`]
                  .filter(Boolean)
                  .join(", ") || "0"}
              </td>
              <td className="elt-right">{took(load) === undefined ? "–" : seconds(took(load) ?? 0)}</td>
              <td>
                <a href={runLink(props.source.name, load.run_id)} title={load.run_id}>
                  {moment(load.loaded_at, timezone)}
                </a>
              </td>
              {props.again ? (
                <td>
                  <button type="button" className="elt-button elt-small" onClick={() => props.again?.(load)}>
                    Load again
                  </button>
                </td>
              ) : null}
            </tr>
          ))}
        </Sheet>
        {more ? <p className="elt-note">Older loads are in _elt.loads.</p> : null}
      </>
    )}
  </WithLoads>
);

const took = (load: LoadRow): number | undefined =>
  load.started_at ? Math.max(0, (Date.parse(load.loaded_at) - Date.parse(load.started_at)) / 1000) : undefined;

const shownLoads = (loads: LoadRow[]): LoadRow[] => [...loads].reverse().slice(-120);

export const FreshnessTab = (props: TabProps) => {
  const row = props.source.tables.find(({ table }) => table === props.table);
  return (
    <WithLoads {...props}>
      {({ loads, timezone }) => {
        const good = shownLoads(loads).filter((load) => !load.failed && !load.full_refresh);
        const points = (value: (load: LoadRow) => number | undefined, words: string): Point[] =>
          good.flatMap((load) => {
            const seen = value(load);
            if (seen === undefined) return [];
            return [{ at: load.window_start, value: Math.max(0, seen), title: `${windowWords(load.window_start, load.window_end, timezone)}: ${span(seen)} ${words}` }];
          });
        const behind = (load: LoadRow) => lagOf(load, row);
        const dated = points(behind, "behind the window's end");
        return (
          <>
            <p className="elt-note">
              Two clocks: when a row was loaded, and when it happened. A table can be loaded on time and still be late by its business date.
            </p>
            <Plot
              title="Loaded: how long after the end of its window each load was committed"
              points={points((load) => (Date.parse(load.loaded_at) - Date.parse(load.window_end)) / 1000, "after the window's end")}
              unit={seconds}
              zone={timezone}
            />
            {dated.length ? (
              <Plot
                title="Happened: how far the newest business date was behind the end of the window"
                points={dated}
                unit={seconds}
                zone={timezone}
                limit={row?.business_limit ? { value: row.business_limit, words: `limit ${span(row.business_limit)}` } : undefined}
              />
            ) : (
              <Empty title="This table has no business date">Write business_date: with the column that says when a row happened.</Empty>
            )}
          </>
        );
      }}
    </WithLoads>
  );
};

// a day counts until its end; text without a zone is by the config's clock, whose offset the row's own instant shows
const lagOf = (load: LoadRow, row: TableRow | undefined): number | undefined => {
  if (!load.business_date || !row?.business_at || !row.business_date) return undefined;
  const plain = (text: string) => Date.parse(`${text.slice(0, 19).replace(" ", "T")}${text.length > 10 ? "" : "T00:00:00"}Z`);
  const offset = Date.parse(row.business_at) - plain(row.business_date);
  const lag = (Date.parse(load.window_end) - (plain(load.business_date) + offset)) / 1000;
  return Number.isNaN(lag) ? undefined : lag;
};

export const VolumeTab = (props: TabProps) => (
  <WithLoads {...props}>
    {({ loads, timezone, band }) => {
      const shown = shownLoads(loads).filter((load) => !load.replaced);
      const odd = (rows: number) => band != null && (rows < band.low * 0.999 || rows > band.high * 1.001);
      const title = (load: LoadRow, words: string) => `${windowWords(load.window_start, load.window_end, timezone)}: ${words}`;
      const kind = (load: LoadRow) => (load.failed ? "bad" : odd(load.loaded + load.unchanged) ? "odd" : "good") as Point["kind"];
      const timed = shown.filter((load) => took(load) !== undefined);
      return (
        <>
          <Plot
            title={band ? `Rows of each load; the band is where nine of ten are: ${count(Math.round(band.low))} to ${count(Math.round(band.high))}` : "Rows of each load"}
            points={shown.map((load) => ({
              at: load.window_start,
              value: load.loaded + load.unchanged,
              kind: kind(load),
              title: title(load, `${plural(load.loaded + load.unchanged, "row")}${load.failed ? ", failed" : ""}`),
            }))}
            band={band}
            unit={(value) => short(Math.round(value))}
            zone={timezone}
          />
          <Plot
            title="Seconds from the first request to the commit"
            points={timed.map((load) => ({ at: load.window_start, value: took(load) ?? 0, title: title(load, seconds(took(load) ?? 0)) }))}
            unit={seconds}
            zone={timezone}
          />
          <Plot
            title="Bytes of Parquet of each load"
            points={shown.map((load) => ({ at: load.window_start, value: load.bytes, title: title(load, `${short(load.bytes)} bytes`) }))}
            unit={(value) => short(Math.round(value))}
            zone={timezone}
          />
        </>
      );
    }}
  </WithLoads>
);

export const RejectsTab = ({ source, table }: TabProps) => {
  const answer = useLive<Schemas["Rejects"]>(path(source, `rejects${table ? `?table=${encodeURIComponent(table)}` : ""}`), 10);
  return (
    <Asked answer={answer}>
      {({ reasons, loads }) =>
        loads.length === 0 ? (
          <Empty title="No row was rejected">Each row that cannot be loaded appears here with its reason. None is dropped silently.</Empty>
        ) : (
          <>
            {reasons.length ? (
              <>
                <h2>Open, by reason</h2>
                <Sheet caption="Open rejects by reason" heads={["Rows ›", "Reason", "A record, without personal data"]}>
                  {reasons.map((one) => (
                    <tr key={`${one.table}${one.reason}`}>
                      <Figure value={one.rows} kind="elt-warn" />
                      <td>{one.reason}</td>
                      <td>
                        <code className="elt-record">{one.record || "–"}</code>
                      </td>
                    </tr>
                  ))}
                </Sheet>
              </>
            ) : null}
            <h2>By load</h2>
            <Sheet caption="Rejects by load" heads={["Table", "Window", "Rows ›", "State", "Rejected", "For example"]}>
              {loads.map((load) => (
                <tr key={`${load.load_id}${load.rejected_at}`}>
                  <th scope="row">{load.table}</th>
                  <td>{load.window_start && load.window_end ? windowWords(load.window_start, load.window_end, source.timezone) : "–"}</td>
                  <Figure value={load.rows} />
                  <td>
                    <span className={`elt-tag ${load.state === "open" ? "elt-tag-bad" : "elt-tag-good"}`}>{load.state}</span>
                    {load.why ? <span className="elt-note">{`${load.by}: ${load.why}`}</span> : null}
                  </td>
                  <td>{moment(load.rejected_at, source.timezone)}</td>
                  <td>{load.reason}</td>
                </tr>
              ))}
            </Sheet>
          </>
        )
      }
    </Asked>
  );
};

export const SchemaTab = ({ source, table }: TabProps) => {
  const answer = useLive<Schemas["ChangeRow"][]>(path(source, "changes"), 20);
  return (
    <Asked answer={answer}>
      {(all) => {
        const changes = all.filter((one) => !table || one.table === table);
        return changes.length === 0 ? (
          <Empty title="No column has changed">New columns, wider types and columns that were dropped appear here.</Empty>
        ) : (
          <Sheet caption="Changes of columns" heads={["When", "Table", "Column", "Change", "Before", "After"]}>
            {changes.map((one) => (
              <tr key={`${one.changed_at}${one.table}${one.column}`}>
                <td>{moment(one.changed_at, source.timezone)}</td>
                <td>{one.table}</td>
                <th scope="row">
                  <code>{one.column}</code>
                </th>
                <td>
                  <span className="elt-tag">{one.change}</span>
                </td>
                <td>{one.old_type ?? "–"}</td>
                <td>{one.type ?? "–"}</td>
              </tr>
            ))}
          </Sheet>
        );
      }}
    </Asked>
  );
};

const RESULT: Record<string, string> = { passed: "good", warned: "odd", failed: "bad" };

export const QualityTab = ({ source, table }: TabProps) => {
  const answer = useLive<Schemas["CheckHistory"][]>(path(source, "quality"), 10);
  return (
    <Asked answer={answer}>
      {(all) => {
        const checks = all.filter((one) => one.kind !== "check" || !table || one.table === table);
        const groups = [
          { title: "Checks of the config", found: checks.filter((one) => one.kind === "check") },
          { title: "dbt tests", found: checks.filter((one) => one.kind === "dbt_test") },
          { title: "dbt models", found: checks.filter((one) => one.kind !== "check" && one.kind !== "dbt_test") },
        ].filter(({ found }) => found.length);
        return groups.length === 0 ? (
          <Empty title="Nothing was checked yet">Write checks: for a column or quality: for a table.</Empty>
        ) : (
          groups.map(({ title, found }) => (
            <section key={title}>
              <h2>{title}</h2>
              <Sheet caption={title} heads={["Check", "Last runs, the newest last", "Newest result"]}>
                {found.map((one) => {
                  const last = one.results[one.results.length - 1];
                  return (
                    <tr key={`${one.kind}${one.table}${one.name}`}>
                      <th scope="row">
                        {one.kind === "check" ? <span className="elt-muted">{one.table}: </span> : null}
                        {one.name}
                        {["", "error"].includes(one.severity) ? null : <span className="elt-tag">{one.severity}</span>}
                      </th>
                      <td>
                        <span className="elt-results" role="img" aria-label={one.results.map(({ status }) => status).join(", ")}>
                          {one.results.map((result, number) => (
                            <i key={number} className={`elt-column-${RESULT[result.status] ?? "quiet"}`} title={`${moment(result.checked_at, source.timezone)}: ${result.status}. ${result.message}`} />
                          ))}
                        </span>
                      </td>
                      <td>
                        <span className={last?.status === "failed" ? "elt-bad" : last?.status === "warned" ? "elt-warn" : "elt-good"}>{last?.status}</span>{" "}
                        <span className="elt-muted">{last?.status === "passed" ? "" : last?.message}</span>
                      </td>
                    </tr>
                  );
                })}
              </Sheet>
            </section>
          ))
        );
      }}
    </Asked>
  );
};

export const WaitingTab = ({ source }: TabProps) => (
  <>
    {source.sensors.length ? (
      <ul className="elt-list">
        {source.sensors.map((words) => (
          <li key={words}>{words}</li>
        ))}
      </ul>
    ) : (
      <p className="elt-note">A run of this source waits for nothing but its schedule.</p>
    )}
    {source.waiting.boxes.length > 1 ? (
      <GraphView graph={source.waiting} here={source.name} words="Which source waits for which: arrows lead to the one that waits" />
    ) : null}
  </>
);

export const DeadlinesTab = ({ source }: TabProps) => {
  const deadline = source.tables[0]?.deadline;
  return (
    <>
      <p>
        {deadline ? (
          <>
            A run must be done by <strong>{deadline}</strong>.
          </>
        ) : (
          "No deadline is written for this source: no alert is sent when a run is late."
        )}
        <span className="elt-note">Retries: {source.retries}.</span>
      </p>
      {source.misses.length === 0 ? (
        <Empty title="No deadline was missed" />
      ) : (
        <Sheet caption="Missed deadlines" heads={["Deadline", "Noticed", "Run"]}>
          {source.misses.map((one) => (
            <tr key={`${one.run_id}${one.deadline}`}>
              <th scope="row">{moment(one.deadline, source.timezone)}</th>
              <td>{moment(one.noticed_at, source.timezone)}</td>
              <td>
                <a href={runLink(source.name, one.run_id)}>{one.run_id}</a>
              </td>
            </tr>
          ))}
        </Sheet>
      )}
    </>
  );
};

export const ConfigTab = ({ source }: TabProps) => {
  const answer = useLive<Schemas["ConfigAnswer"]>(path(source, "config"), 20);
  return (
    <Asked answer={answer}>
      {({ file, settings }) => (
        <>
          <p className="elt-note">
            What is in effect: <code>{file}</code>, the defaults of its folder, and the language's own.
          </p>
          <Sheet caption="The config in effect" heads={["Key", "Value", "From"]}>
            {settings.map((one) => (
              <tr key={one.path} className={one.origin === "language" ? "elt-default" : undefined}>
                <th scope="row">
                  <code>{one.path}</code>
                </th>
                <td>
                  <code>{one.value}</code>
                </td>
                <td>
                  <span className={`elt-tag elt-origin-${one.origin}`}>{one.where}</span>
                </td>
              </tr>
            ))}
          </Sheet>
        </>
      )}
    </Asked>
  );
};

export const LineageTab = ({ source }: TabProps) => {
  const answer = useLive<Schemas["Graph"]>(path(source, "lineage"), 60);
  return (
    <Asked answer={answer}>
      {(graph) =>
        graph.boxes.length ? (
          <GraphView graph={graph} here={source.name} words="From the systems through the loaded tables and the dbt models to their exposures" />
        ) : (
          <Empty title="Nothing is known of its lineage" />
        )
      }
    </Asked>
  );
};

const Budget = ({ unit, limit, per, stops, used, looked_at, zone }: Schemas["BudgetUse"] & { zone: string }) => (
  <p>
    Budget: <strong>{limit.toLocaleString("en")}</strong> {unit} a {per}; then {stops ? "runs fail before they read" : "a warning is sent"}.{" "}
    {used == null || looked_at == null ? (
      "No run has looked at it yet."
    ) : (
      <>
        Used when a run last looked, {moment(looked_at, zone)}: <strong>{share(used, limit)}</strong>.
      </>
    )}
  </p>
);

export const CostTab = ({ source }: TabProps) => {
  const answer = useLive<Schemas["Cost"]>(path(source, "cost"), 20);
  return (
    <Asked answer={answer}>
      {({ runs, seconds: whole, steps, statement, budget }) =>
        steps.length === 0 ? (
          <Empty title="No run has ended yet">What its steps take appears here.</Empty>
        ) : (
          <>
            {budget ? <Budget {...budget} zone={source.timezone} /> : null}
            <p>
              The newest {plural(runs, "run")} took <strong>{span(whole)}</strong> of tasks in all.
            </p>
            <Sheet caption="Seconds by step" heads={["Step", "Table", "Runs ›", "In all ›", "Share", "A usual run ›"]}>
              {steps.map((one) => (
                <tr key={`${one.step}${one.table}`}>
                  <th scope="row">{one.step.replaceAll("_", " ")}</th>
                  <td>{one.table || "–"}</td>
                  <Figure value={one.runs} />
                  <td className="elt-right">{seconds(one.seconds)}</td>
                  <td>
                    <span className="elt-share" aria-hidden="true" style={{ width: `${Math.max(1, (120 * one.seconds) / (whole || 1))}px` }} /> {share(one.seconds, whole)}
                  </td>
                  <td className="elt-right">{seconds(one.usual)}</td>
                </tr>
              ))}
            </Sheet>
            {statement ? (
              <>
                <h2>On Snowflake, by query tag</h2>
                <p className="elt-note">The page does not ask this: it would resume a warehouse. Each statement of a run has the tag.</p>
                <pre className="elt-record" tabIndex={0}>{statement}</pre>
              </>
            ) : null}
          </>
        )
      }
    </Asked>
  );
};
