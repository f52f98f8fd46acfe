// A source: what is wrong with it in words, then its tabs. The same view is a tab of its DAG.
import { useState } from "react";
import { Link } from "react-router-dom";
import { Actions } from "./actions";
import type { Wish } from "./actions";
import type { Schemas } from "./api";
import { useLive } from "./api";
import { Age, Failed, Loading, Looked, NoScheduler, Pill } from "./parts";
import { urgency } from "./states";
import { ConfigTab, CostTab, DeadlinesTab, FreshnessTab, LineageTab, LoadsTab, QualityTab, RejectsTab, SchemaTab, VolumeTab, WaitingTab } from "./tabs";
import type { TabProps } from "./tabs";
import { useView } from "./view";
import { count, useNow } from "./words";

type Source = Schemas["Source"];

const TABS: { key: string; title: string; view: (props: TabProps) => React.ReactNode; whole?: boolean }[] = [
  { key: "loads", title: "Loads", view: LoadsTab },
  { key: "freshness", title: "Freshness", view: FreshnessTab },
  { key: "volume", title: "Volume", view: VolumeTab },
  { key: "rejects", title: "Rejects", view: RejectsTab },
  { key: "schema", title: "Schema", view: SchemaTab },
  { key: "quality", title: "Quality", view: QualityTab },
  { key: "waiting", title: "Waiting", view: WaitingTab, whole: true },
  { key: "deadlines", title: "Deadlines", view: DeadlinesTab, whole: true },
  { key: "config", title: "Config", view: ConfigTab, whole: true },
  { key: "lineage", title: "Lineage", view: LineageTab, whole: true },
  { key: "cost", title: "Cost", view: CostTab, whole: true },
];

export const SourceView = ({ name, inDag }: { name: string; inDag?: boolean }) => {
  const answer = useLive<Source>(`sources/${encodeURIComponent(name)}`, 5);
  const now = useNow();
  if (!answer.data) {
    return (
      <div className="elt-page">
        {inDag ? null : <Back />}
        {answer.error ? <Failed error={answer.error} again={answer.again} /> : <Loading />}
      </div>
    );
  }
  return (
    <div className="elt-page">
      {inDag ? null : <Back />}
      <header className="elt-head">
        {inDag ? null : <h1>{name}</h1>}
        <Age copied={answer.data.copied} error={answer.error} now={now} again={answer.again} spends={answer.data.may_run} />
        <span className="elt-links">
          {inDag ? null : <a href={new URL(`dags/${name}`, document.baseURI).href}>its DAG</a>}
        </span>
      </header>
      <Found source={answer.data} />
    </div>
  );
};

const Back = () => (
  <nav aria-label="Breadcrumb" className="elt-crumbs">
    <Link to="/plugin/sources">← Sources</Link>
  </nav>
);

const Found = ({ source }: { source: Source }) => {
  const [view, change] = useView();
  const worst = [...source.tables].sort((one, other) => urgency(one.state) - urgency(other.state))[0];
  const names = source.tables.map(({ table }) => table);
  const table = names.includes(view.get("table") ?? "") ? (view.get("table") as string) : (worst?.table ?? "");
  const tab = TABS.find(({ key }) => key === view.get("tab")) ?? TABS[0];
  const row = source.tables.find((one) => one.table === table);
  const [wish, setWish] = useState<Wish>();
  if (!tab) return null;
  return (
    <>
      <p className="elt-facts">
        <span>{source.description}</span>
        <span>
          owner <strong>{row?.owner}</strong>
        </span>
        <span>
          runs <strong>{source.schedule ? `${source.schedule}, ${source.timezone}` : "by hand"}</strong>
        </span>
        <span>
          <code>{source.file}</code>
        </span>
      </p>
      {source.tables.length > 1 ? (
        <div className="elt-tables" role="group" aria-label="Tables">
          {source.tables.map((one) => (
            <button key={one.table} type="button" aria-pressed={one.table === table} onClick={() => change({ table: one.table })}>
              <span className="elt-strong">{one.table}</span> <Pill state={one.state} />
            </button>
          ))}
        </div>
      ) : null}
      {source.scheduled ? null : <NoScheduler />}
      {row ? <Diagnosis row={row} verdict={source.verdicts.find((one) => one.table === table)} /> : null}
      <Actions source={source} table={table} wish={wish} setWish={setWish} />
      <div className="elt-tabs" role="tablist" aria-label="What is known of it" onKeyDown={onArrows}>
        {TABS.map(({ key, title }) => (
          <button
            key={key}
            id={`elt-tab-${key}`}
            type="button"
            role="tab"
            aria-selected={key === tab.key}
            aria-controls="elt-panel"
            tabIndex={key === tab.key ? 0 : -1}
            onClick={() => change({ tab: key })}
          >
            {title}
            {key === "rejects" && row?.open_rejects ? <span className="elt-badge">{count(row.open_rejects)}</span> : null}
          </button>
        ))}
      </div>
      <div id="elt-panel" role="tabpanel" aria-labelledby={`elt-tab-${tab.key}`} className="elt-panel">
        <tab.view
          key={`${tab.key} ${table}`}
          source={source}
          table={table}
          again={source.may_run ? (load) => setWish({ kind: "load", load, table }) : undefined}
        />
      </div>
    </>
  );
};

const onArrows = (event: React.KeyboardEvent<HTMLElement>) => {
  const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
  const tabs = [...event.currentTarget.querySelectorAll<HTMLElement>('[role="tab"]')];
  const next = tabs[tabs.indexOf(document.activeElement as HTMLElement) + step];
  if (step && next) {
    event.preventDefault();
    next.focus();
    next.click();
  }
};

const Diagnosis = ({ row, verdict }: { row: Source["tables"][number]; verdict?: Schemas["Verdict"] }) => (
  <section className={`elt-diagnosis elt-${row.state.replace(" ", "-")}`} aria-label="Diagnosis">
    <p className="elt-diagnosis-head">
      <Pill state={row.state} /> <strong>{verdict?.sentence ?? row.sentence}</strong>
      {verdict && verdict.whose !== "none" ? <span className="elt-tag">{verdict.whose}</span> : null}
    </p>
    {row.acknowledged ? (
      <p>
        <Looked said={row.acknowledged} zone={row.timezone} /> {row.acknowledged.why}
      </p>
    ) : null}
    {verdict?.evidence.length ? (
      <ul>
        {verdict.evidence.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    ) : null}
    {verdict?.next ? (
      <p>
        Next: <code>{verdict.next}</code>
      </p>
    ) : null}
    {verdict?.also.map((line) => (
      <p key={line} className="elt-note">
        Also: {line}
      </p>
    ))}
  </section>
);
