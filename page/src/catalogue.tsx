// Every column of every table: what it means, who answers for it, whether it is personal data.
import { useDeferredValue, useMemo } from "react";
import { Link } from "react-router-dom";
import type { Schemas } from "./api";
import { useLive } from "./api";
import { Empty, Failed, Loading } from "./parts";
import { Search } from "./search";
import { sourceLink, useView } from "./view";
import { count, plural } from "./words";

const MOST = 400; // rows that are drawn

export const Catalogue = () => {
  const { data, error, again } = useLive<Schemas["ColumnRow"][]>("catalogue", 60);
  return (
    <div className="elt-page">
      <nav aria-label="Breadcrumb" className="elt-crumbs">
        <Link to="/plugin/sources">← Sources</Link>
      </nav>
      <header className="elt-head">
        <h1>Catalogue</h1>
      </header>
      {data ? <Columns all={data} /> : error ? <Failed error={error} again={again} /> : <Loading />}
    </div>
  );
};

const Columns = ({ all }: { all: Schemas["ColumnRow"][] }) => {
  const [view, change] = useView();
  const search = useDeferredValue(view.get("q") ?? "");
  const personal = view.get("pii") === "1";
  const shown = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    return all.filter((one) => {
      const text = `${one.source}.${one.table}.${one.column} ${one.type} ${one.description} ${one.pii} ${one.owner} ${one.roles.join(" ")}`.toLowerCase();
      return (!personal || one.pii) && words.every((word) => text.includes(word));
    });
  }, [all, search, personal]);
  if (all.length === 0) {
    return <Empty title="No column is declared yet">Columns appear here when a YAML or dbt's files describe them.</Empty>;
  }
  return (
    <>
      <div className="elt-toolbar">
        <Search hint="Search columns, descriptions, owners" />
        <label className="elt-check elt-inline">
          <input type="checkbox" checked={personal} onChange={(event) => change({ pii: event.target.checked ? "1" : null })} /> personal data only
        </label>
        <span className="elt-shown" role="status">
          {shown.length === all.length ? plural(all.length, "column") : `${count(shown.length)} of ${plural(all.length, "column")}`}
        </span>
      </div>
      <div className="elt-table elt-tall" tabIndex={0} role="region" aria-label="Columns">
        <table>
          <caption className="elt-hidden">Columns of all tables</caption>
          <thead>
            <tr>
              {["Table", "Column", "Type", "Description", "Role", "Checks", "Owner"].map((head) => (
                <th key={head} scope="col">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.slice(0, MOST).map((one) => (
              <tr key={`${one.source}.${one.table}.${one.column}`}>
                <td>
                  <Link to={sourceLink(one.source, one.table)}>
                    {one.source}.{one.table}
                  </Link>
                </td>
                <th scope="row">
                  <code>{one.column}</code>
                </th>
                <td>
                  {one.type || <span className="elt-muted">inferred</span>}
                  {one.nullable ? "" : ", never empty"}
                </td>
                <td>{one.description}</td>
                <td>
                  {one.roles.map((role) => (
                    <span key={role} className="elt-tag">
                      {role}
                    </span>
                  ))}
                  {one.pii ? <span className="elt-tag elt-tag-bad">{one.pii}</span> : null}
                </td>
                <td>{one.checks.join("; ")}</td>
                <td>{one.owner}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {shown.length > MOST ? <p className="elt-note">The first {MOST} are shown: search for others.</p> : null}
    </>
  );
};
