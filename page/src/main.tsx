// What Airflow's plugin loader finds: the page in the navigation, and the tab of each DAG.
import { useEffect } from "react";
import { Catalogue } from "./catalogue";
import { SourcesList } from "./list";
import { SourceView } from "./source";
import { Onboard } from "./onboard";
import css from "./style.css";
import { useView } from "./view";

const STYLE = "elt-factory-style";

if (!document.getElementById(STYLE)) {
  const style = document.createElement("style");
  style.id = STYLE;
  style.textContent = css;
  document.head.append(style);
}

const useTitle = (title: string) => {
  useEffect(() => {
    const before = document.title;
    document.title = title;
    return () => {
      document.title = before;
    };
  }, [title]);
};

const View = ({ name }: { name: string | null }) => (name === "catalogue" ? <Catalogue /> : name === "new" ? <Onboard /> : <SourcesList />);

const Sources = () => {
  const [view] = useView();
  const source = view.get("source");
  useTitle(source ? `${source} - Sources` : "Sources");
  return (
    <main className="elt" id="elt-sources">
      {source ? <SourceView key={source} name={source} /> : <View name={view.get("view")} />}
    </main>
  );
};

const Source = ({ dagId }: { dagId?: string }) => (
  <div className="elt" id="elt-source">
    {dagId ? <SourceView key={dagId} name={dagId} inDag /> : null}
  </div>
);

Object.assign(globalThis, { Sources, Source });
