// Boxes and arrows: who waits for whom, where data come from and go to. The API has placed them.
import { Link } from "react-router-dom";
import type { Schemas } from "./api";
import { tone } from "./states";
import { sourceLink } from "./view";

const BOX = { width: 196, height: 46 };
const GAP = { x: 62, y: 18 };

const cut = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const left = (column: number) => 4 + column * (BOX.width + GAP.x);
const middle = (row: number) => 4 + row * (BOX.height + GAP.y) + BOX.height / 2;

const way = (points: [number, number][]): string =>
  points
    .map(([column, row], number) => {
      if (number === 0) return `M${left(column) + BOX.width} ${middle(row)}`;
      const before = points[number - 1] as [number, number];
      const from = left(before[0]) + BOX.width;
      const to = left(column) - (number === points.length - 1 ? 5 : 0);
      const half = (from + to) / 2;
      const on = number === points.length - 1 ? "" : ` L${left(column) + BOX.width} ${middle(row)}`;
      return `C${half} ${middle(before[1])} ${half} ${middle(row)} ${to} ${middle(row)}${on}`;
    })
    .join(" ");

export const GraphView = ({ graph, here, words }: { graph: Schemas["Graph"]; here: string; words: string }) => {
  const width = Math.max(...graph.boxes.map((box) => left(box.column) + BOX.width), 0) + 6;
  const height = Math.max(...graph.boxes.map((box) => middle(box.row) + BOX.height / 2), 0) + 6;
  return (
    <div className="elt-graph" tabIndex={0} role="group" aria-label={words}>
      <div style={{ position: "relative", width, height }}>
        <svg width={width} height={height} aria-hidden="true">
          <defs>
            <marker id="elt-tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">
              <path d="M0 0 8 4 0 8z" className="elt-tip" />
            </marker>
          </defs>
          {graph.arrows.map(({ points }, number) => (
            <path key={number} className="elt-way" markerEnd="url(#elt-tip)" d={way(points as [number, number][])} />
          ))}
        </svg>
        {graph.boxes.map((box) => {
          const style = { left: left(box.column), top: middle(box.row) - BOX.height / 2, width: BOX.width, height: BOX.height };
          const mine = here !== "" && box.source === here;
          const kind = `elt-box elt-box-${box.kind}${mine ? " elt-box-here" : ""}${box.state ? ` elt-${tone(box.state)}` : ""}`;
          const inner = (
            <>
              <span className="elt-box-title">
                {box.state ? <span className="elt-dot" aria-hidden="true" /> : null}
                {cut(box.title, 25)}
              </span>
              <span className="elt-box-detail">{cut(box.detail, 32)}</span>
            </>
          );
          return box.source && !mine ? (
            <Link key={box.name} className={kind} style={style} to={sourceLink(box.source)} title={`${box.title} ${box.detail}`}>
              {inner}
            </Link>
          ) : (
            <div key={box.name} className={kind} style={style} title={`${box.title} ${box.detail}`}>
              {inner}
            </div>
          );
        })}
      </div>
    </div>
  );
};
