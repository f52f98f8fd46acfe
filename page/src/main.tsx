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

// Airflow takes a plugin's component out of a lazy one, and from the next navigation on by its name: to React that is
// another component, and all it has on the page is made again, without the focus and without what was just typed. So
// navigate once, to where we are, before anything is asked for or shown.
let settled = false;

const useSettled = (): boolean => {
  const [view, change] = useView();
  useEffect(() => {
    if (!settled) {
      settled = true;
      change({});
    }
  }, [view, change]);
  return settled;
};

const View = ({ name }: { name: string | null }) => (name === "catalogue" ? <Catalogue /> : name === "new" ? <Onboard /> : <SourcesList />);

const Sources = () => {
  const [view] = useView();
  const source = view.get("source");
  useTitle(source ? `${source} - Sources` : "Sources");
  const shown = useSettled() ? source ? <SourceView key={source} name={source} /> : <View name={view.get("view")} /> : null;
  return (
    <main className="elt" id="elt-sources">
      {shown}
    </main>
  );
};

const Source = ({ dagId }: { dagId?: string }) => {
  const shown = useSettled() && dagId;
  return (
    <div className="elt" id="elt-source">
      {shown ? <SourceView key={shown} name={shown} inDag /> : null}
    </div>
  );
};

Object.assign(globalThis, { Sources, Source });
// React keeps what was lazy back for 300 ms after it has come. The router looks where we are, and Airflow draws by name.
queueMicrotask(() => window.dispatchEvent(new PopStateEvent("popstate", { state: window.history.state })));
