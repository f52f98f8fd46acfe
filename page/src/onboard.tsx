// A YAML that is being written: what is wrong in it at its lines, and the DAG that it would make. Nothing is written on
// the server: the file is given as a download.
import { useEffect, useMemo, useRef, useState } from "react";
import { Link } from "react-router-dom";
import type { Schemas } from "./api";
import { ApiError, send } from "./api";
import { GraphView } from "./graph";
import { plural } from "./words";

type Checked = Schemas["Checked"];
type Mistake = Schemas["DraftMistake"];

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
      {data?.stages.length ? <Drawn stages={data.stages} /> : null}
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
