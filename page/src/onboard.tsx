// A YAML that is being written: what is wrong in it at its lines, and the DAG that it would make. Nothing is written on
// the server: the file is given as a download, or as a branch of the repository of a git bundle.
import { useEffect, useMemo, useRef, useState } from "react";
import { Link } from "react-router-dom";
import type { Schemas } from "./api";
import { ApiError, send, useLive } from "./api";
import { GraphView } from "./graph";
import { plural } from "./words";

type Checked = Schemas["Checked"];
type Mistake = Schemas["DraftMistake"];
type Onboarding = Schemas["Onboarding"];
type Sampled = Schemas["SampledConfig"];

const KEPT = "elt-factory-draft";
const FIRST = `name: orders
owner: my-team
schedule: "0 3 * * *"
start_date: ${new Date().getFullYear()}-01-01
extract:
  type: rest_api
  connection: shop_api        # an Airflow connection holds the address and the secret
tables:
  orders:
    path: /v1/orders
    params: {since: "{{ window.start }}", until: "{{ window.end }}"}
    primary_key: [id]
    write_disposition: merge
`;

const useChecked = (text: string): { data?: Checked; error?: string } => {
  const [found, setFound] = useState<{ data?: Checked; error?: string }>({});
  useEffect(() => {
    let current = true;
    const timer = window.setTimeout(() => {
      send<Checked>("elt/api/v1/draft", "POST", { text }).then(
        (data) => current && setFound({ data }),
        (problem: Error) =>
          current && setFound({ error: problem instanceof ApiError && problem.status === 403 ? "You may not do this." : problem.message }),
      );
    }, 300);
    return () => {
      current = false;
      window.clearTimeout(timer);
    };
  }, [text]);
  return found;
};

export const Onboard = () => {
  const [text, setText] = useState(() => window.sessionStorage.getItem(KEPT) ?? FIRST);
  const { data, error } = useChecked(text);
  const may = useLive<Onboarding>("onboarding", 600).data;
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => window.sessionStorage.setItem(KEPT, text), [text]);
  const go = ({ line, column }: Mistake) => {
    const before = text.split("\n").slice(0, line - 1);
    const place = before.join("\n").length + (before.length ? 1 : 0) + column - 1;
    field.current?.focus();
    field.current?.setSelectionRange(place, place);
  };
  return (
    <div className="elt-page">
      <nav aria-label="Breadcrumb" className="elt-crumbs">
        <Link to="/plugin/sources">← Sources</Link>
      </nav>
      <header className="elt-head">
        <h1>New source</h1>
        <span className="elt-links">
          <Download text={text} name={data?.file ?? "new_source.yaml"} />
        </span>
      </header>
      {may?.connections || may?.hosts.length ? <Sample may={may} take={setText} /> : null}
      <p className="elt-note">
        Paste or write a YAML. Nothing is written on the server: download the file and put it into <code>dag_configs/</code>, where its DAG appears within seconds.
        Variables of the environment are not read: <code>{"${NAME:-default}"}</code> is its default here, and <code>{"${NAME}"}</code> stays as it is.
      </p>
      <div className="elt-onboard">
        <Editor text={text} setText={setText} field={field} mistakes={data?.mistakes ?? []} />
        <div className="elt-onboard-side" aria-live="polite">
          {error ? <p className="elt-bad" role="alert">{error}</p> : null}
          {data ? <Found data={data} go={go} /> : null}
        </div>
      </div>
      {may?.repository ? <Propose repository={may.repository} text={text} ready={data !== undefined && !data.mistakes.length} /> : null}
      {data?.stages.length ? <Drawn stages={data.stages} /> : null}
    </div>
  );
};

// what `elt new` asks at the command line: it looks at the source, and its config takes the place of the text
const Sample = ({ may, take }: { may: Onboarding; take: (text: string) => void }) => {
  const [wish, setWish] = useState({ from: may.connections ? "connection" : "url", name: "", connection: "", url: "", path: "", tables: "" });
  const [told, setTold] = useState<{ busy?: boolean; error?: string; found?: Sampled }>({});
  const byUrl = wish.from === "url";
  const ready = /^[a-z][a-z0-9_]*$/.test(wish.name) && Boolean(byUrl ? wish.url : wish.connection) && !told.busy;
  const input = (key: "name" | "connection" | "url" | "path" | "tables", label: string, hint: string, list?: string) => (
    <label>
      {label}
      <input className="elt-input" value={wish[key]} placeholder={hint} list={list} spellCheck={false} autoComplete="off"
        onChange={(event) => setWish({ ...wish, [key]: event.target.value })} />
    </label>
  );
  const go = () => {
    setTold({ busy: true });
    const tables = wish.tables.split(",").map((one) => one.trim()).filter(Boolean);
    const asked = byUrl ? { url: wish.url } : { connection: wish.connection, path: wish.path || null, tables };
    send<Sampled>("elt/api/v1/sample", "POST", { name: wish.name, ...asked }).then(
      (found) => {
        take(found.text);
        setTold({ found });
      },
      (problem: Error) =>
        setTold({ error: problem instanceof ApiError && problem.status === 403 ? "Airflow does not permit you to use this connection." : problem.message }),
    );
  };
  return (
    <details className="elt-sample">
      <summary>From a connection or a URL: a look at the source writes the config</summary>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) go();
        }}
      >
        <div className="elt-fields">
          {may.connections && may.hosts.length ? (
            <label>
              From
              <select className="elt-select" value={wish.from} onChange={(event) => setWish({ ...wish, from: event.target.value })}>
                <option value="connection">a connection</option>
                <option value="url">a URL</option>
              </select>
            </label>
          ) : null}
          {input("name", "Name of the source", "orders")}
          {byUrl ? input("url", "URL of a JSON API", "https://…") : input("connection", "Connection of Airflow", "shop_api", "elt-connections")}
          {byUrl ? null : input("path", "Path, or pattern of files", "/v1/orders, *.csv")}
          {byUrl ? null : input("tables", "Tables of a database", "all")}
          <button type="submit" className="elt-button elt-main" disabled={!ready}>
            {told.busy ? "Looking…" : "Look at it"}
          </button>
        </div>
        <datalist id="elt-connections">
          {may.known.map((one) => <option key={one} value={one} />)}
        </datalist>
        <p className="elt-note">
          Airflow&apos;s server reads a few records{byUrl ? ` of ${may.hosts.join(", ")}` : " with a connection that you may change"}, as <code>elt new</code> does; its audit log
          says so. The config takes the place of the text below.
        </p>
      </form>
      <div role="status">
        {told.error ? <p className="elt-bad" role="alert">{told.error}</p> : null}
        {told.found ? <Left found={told.found} /> : null}
      </div>
    </details>
  );
};

const Left = ({ found }: { found: Sampled }) => (
  <>
    <p>
      <strong>{found.file}</strong> is written below: read what it says, each guess has its reason.
    </p>
    {found.skipped.map((one) => (
      <p key={one.name} className="elt-note">
        {one.name} is left out: {one.reason}
      </p>
    ))}
    {found.todo.map((one) => (
      <pre key={one} tabIndex={0}>{one}</pre>
    ))}
  </>
);

const Propose = ({ repository, text, ready }: { repository: Schemas["Repository"]; text: string; ready: boolean }) => {
  const [told, setTold] = useState<{ busy?: boolean; error?: string; made?: Schemas["Proposal"]; text?: string }>({});
  const go = () => {
    setTold({ busy: true });
    send<Schemas["Proposal"]>("elt/api/v1/proposal", "POST", { text }).then(
      (made) => setTold({ made, text }),
      (problem: Error) => setTold({ error: problem.message }),
    );
  };
  const made = told.text === text ? told.made : undefined;
  return (
    <div className="elt-propose" role="status">
      <button type="button" className="elt-button" onClick={go} disabled={!ready || told.busy || made !== undefined}>
        {told.busy ? "Pushing…" : "Push it as a branch"}
      </button>{" "}
      {made ? (
        <span>
          <code>{made.branch}</code> {made.pushed ? "has" : "was there already, with"} <code>{made.file}</code>:{" "}
          {made.page ? <a href={made.page} target="_blank" rel="noreferrer">open the pull request</a> : <>make it a pull request into <code>{made.base}</code> at your git host</>}
        </span>
      ) : (
        <span className="elt-note">
          The configs come from the branch <code>{repository.branch}</code>
          {repository.page ? <> of <a href={repository.page} target="_blank" rel="noreferrer">{repository.page}</a></> : null}. It is not changed: a new branch has the file, for a pull request.
        </span>
      )}
      {told.error ? <p className="elt-bad" role="alert">{told.error}</p> : null}
    </div>
  );
};

const Editor = ({ text, setText, field, mistakes }: {
  text: string;
  setText: (text: string) => void;
  field: React.RefObject<HTMLTextAreaElement | null>;
  mistakes: Mistake[];
}) => {
  const gutter = useRef<HTMLDivElement>(null);
  const lines = text.split("\n").length;
  const wrong = useMemo(() => new Map(mistakes.filter(({ file }) => !file).map((one) => [one.line, one.message])), [mistakes]);
  return (
    <div className="elt-editor">
      <div ref={gutter} className="elt-gutter" aria-hidden="true">
        {Array.from({ length: lines }, (_, number) => (
          <div key={number} className={wrong.has(number + 1) ? "elt-gutter-bad" : undefined} title={wrong.get(number + 1)}>
            {number + 1}
          </div>
        ))}
      </div>
      <textarea
        ref={field}
        aria-label="YAML of the source"
        aria-invalid={mistakes.length > 0}
        spellCheck={false}
        autoComplete="off"
        wrap="off"
        rows={Math.min(Math.max(lines + 1, 18), 40)}
        maxLength={200_000}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onScroll={(event) => gutter.current && (gutter.current.scrollTop = event.currentTarget.scrollTop)}
      />
    </div>
  );
};

const Found = ({ data, go }: { data: Checked; go: (mistake: Mistake) => void }) => (
  <>
    <h2>{data.mistakes.length ? plural(data.mistakes.length, "mistake") : data.notes.length ? "No mistake that shows here" : "This YAML is right"}</h2>
    <List found={data.mistakes} kind="elt-bad" go={go} />
    {data.notes.length ? <p className="elt-note">Not judged here, because a variable decides:</p> : null}
    <List found={data.notes} kind="elt-muted" go={go} />
    {data.undrawn ? <p className="elt-note">{data.undrawn}</p> : null}
  </>
);

const List = ({ found, kind, go }: { found: Mistake[]; kind: string; go: (mistake: Mistake) => void }) => (
  <ol className="elt-mistakes">
    {found.map((one) => (
      <li key={`${one.line}:${one.column}:${one.code}:${one.message}`}>
        {one.file ? (
          <code>
            {one.file}:{one.line}:{one.column}
          </code>
        ) : (
          <button type="button" className="elt-button elt-small" onClick={() => go(one)}>
            line {one.line}, column {one.column}
          </button>
        )}{" "}
        <span className={kind}>{one.message}</span> <span className="elt-muted">[{one.code}]</span>
        {one.hint ? <p className="elt-hint">hint: {one.hint}</p> : null}
      </li>
    ))}
  </ol>
);

const Drawn = ({ stages }: { stages: Checked["stages"] }) => (
  <section aria-labelledby="elt-drawn">
    <h2 id="elt-drawn">The DAG that it makes</h2>
    <div className="elt-stages">
      {stages.map(({ title, graph }) => (
        <figure key={title} className="elt-stage">
          <figcaption>{title}</figcaption>
          <GraphView graph={graph} here="" words={`Tasks of the stage ${title}`} />
        </figure>
      ))}
    </div>
  </section>
);

const Download = ({ text, name }: { text: string; name: string }) => {
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <button type="button" className="elt-button elt-main" onClick={save}>
      Download {name}
    </button>
  );
};
