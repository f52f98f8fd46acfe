// Plots of loads over their windows, drawn by hand: small, in the theme's colours, read out as a sentence.
import { useLayoutEffect, useRef, useState } from "react";
import type { Schemas } from "./api";
import { count, day, span } from "./words";

export type Point = { at: string; value: number; kind?: "good" | "odd" | "bad" | "quiet"; title: string };

const HEIGHT = 170;
const LEFT = 62;
const BOTTOM = 22;
const TOP = 10;

const nice = (value: number): number => {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
};

export const Plot = ({ title, points, band, limit, unit, zone }: {
  title: string;
  points: Point[];
  band?: Schemas["Band"] | null;
  limit?: { value: number; words: string };
  unit: (value: number) => string;
  zone: string;
}) => {
  const place = useRef<HTMLElement>(null);
  const [WIDTH, setWidth] = useState(860);
  useLayoutEffect(() => {
    if (!place.current) return undefined;
    const watch = new ResizeObserver(([found]) => found && setWidth(Math.max(280, Math.round(found.contentRect.width))));
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  if (points.length === 0) {
    return null;
  }
  const most = nice(Math.max(...points.map(({ value }) => value), band?.high ?? 0, limit?.value ?? 0, 1e-9));
  const width = (WIDTH - LEFT) / Math.max(points.length, 12);
  const x = (number: number) => LEFT + number * width;
  const y = (value: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const last = points[points.length - 1] as Point;
  const step = Math.max(1, Math.ceil((points.length * 74) / (WIDTH - LEFT)));
  return (
    <figure className="elt-plot" ref={place}>
      <figcaption>{title}</figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} height={HEIGHT} role="img" aria-label={`${title}: ${points.length} loads, the last ${last.title}`}>
        {[0, 0.5, 1].map((part) => (
          <g key={part}>
            <line className="elt-grid" x1={LEFT} x2={WIDTH} y1={y(part * most)} y2={y(part * most)} />
            <text className="elt-tick" x={LEFT - 8} y={y(part * most) + 4} textAnchor="end">
              {unit(part * most)}
            </text>
          </g>
        ))}
        {band ? (
          <rect className="elt-spark-band" x={LEFT} width={WIDTH - LEFT} y={y(band.high)} height={Math.max(y(band.low) - y(band.high), 2)}>
            <title>{`usually ${count(Math.round(band.low))} to ${count(Math.round(band.high))}`}</title>
          </rect>
        ) : null}
        {points.map((point, number) => (
          <rect
            key={number}
            className={`elt-column elt-column-${point.kind ?? "good"}`}
            x={x(number) + Math.min(width * 0.12, 2)}
            width={Math.max(Math.min(width * 0.76, 26), 0.8)}
            y={Math.min(y(point.value), HEIGHT - BOTTOM - 1.5)}
            height={Math.max(HEIGHT - BOTTOM - y(point.value), 1.5)}
          >
            <title>{point.title}</title>
          </rect>
        ))}
        {limit ? (
          <g>
            <line className="elt-limit" x1={LEFT} x2={WIDTH} y1={y(limit.value)} y2={y(limit.value)} />
            <text className="elt-tick elt-limit-word" x={WIDTH - 4} y={y(limit.value) - 5} textAnchor="end">
              {limit.words}
            </text>
          </g>
        ) : null}
        {points.map((point, number) =>
          number % step === 0 ? (
            <text key={number} className="elt-tick" x={x(number)} y={HEIGHT - 6}>
              {day(point.at, zone).replace(/ \d{4}$/, "")}
            </text>
          ) : null,
        )}
      </svg>
    </figure>
  );
};

const DAY = 86_400_000;

type Cell = { start: number; part: number; bad: boolean; rows: number; label: string };

const localMidnight = (text: string, zone: string): number => {
  const at = new Date(text);
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).formatToParts(at);
  const number = (kind: string) => Number(parts.find(({ type }) => type === kind)?.value ?? 0);
  return at.getTime() - number("hour") * 3_600_000 - number("minute") * 60_000 - (at.getTime() % 60_000);
};

const cells = (loads: Schemas["LoadRow"][], zone: string): Cell[] => {
  const held = loads.filter((load) => !load.replaced);
  if (held.length === 0) return [];
  const starts = held.map((load) => new Date(load.window_start).getTime());
  const ends = held.map((load) => new Date(load.window_end).getTime());
  const end = Math.max(...ends);
  const first = Math.max(Math.min(...starts), end - 400 * DAY);
  const found: Cell[] = [];
  for (let start = localMidnight(new Date(first).toISOString(), zone); start < end; start += DAY) {
    let [part, rows, bad] = [0, 0, false];
    held.forEach((load, number) => {
      const inside = Math.min(ends[number] ?? 0, start + DAY) - Math.max(starts[number] ?? 0, start);
      if (inside <= 0) return;
      if (load.failed) bad = true;
      else {
        part += inside / DAY;
        rows += load.loaded + load.unchanged;
      }
    });
    found.push({ start, part, bad, rows, label: day(new Date(start + DAY / 2).toISOString(), zone) });
  }
  return found;
};

// The days that windows cover, a column for each week, as far back as a year.
export const Calendar = ({ loads, zone }: { loads: Schemas["LoadRow"][]; zone: string }) => {
  const found = cells(loads, zone);
  if (found.length === 0) return null;
  const weekday = (start: number) => (new Date(start + DAY / 2).getUTCDay() + 6) % 7;
  const shift = weekday((found[0] as Cell).start);
  const size = 14;
  const weeks = Math.ceil((found.length + shift) / 7);
  const missing = found.filter((cell) => cell.part < 0.05 && !cell.bad).length;
  const words = `${found.length} days, ${missing} without a load, ${found.filter((cell) => cell.bad).length} with a load that failed`;
  return (
    <figure className="elt-plot elt-calendar">
      <figcaption>Windows by day, {zone}</figcaption>
      <svg width={weeks * size + 34} height={7 * size + 20} role="img" aria-label={words}>
        {["Mon", "Wed", "Fri", "Sun"].map((name, number) => (
          <text key={name} className="elt-tick" x="0" y={20 + number * 2 * size + 10}>
            {name}
          </text>
        ))}
        {found.map((cell, number) => {
          const place = number + shift;
          const column = Math.floor(place / 7);
          const kind = cell.bad && cell.part < 0.95 ? "bad" : cell.part >= 0.95 ? "whole" : cell.part > 0.05 ? "part" : "gap";
          const told = kind === "gap" ? "not loaded" : kind === "bad" ? "a load failed" : `${count(cell.rows)} rows of windows that touch it`;
          return (
            <g key={cell.start}>
              {cell.label.startsWith("1 ") ? (
                <text className="elt-tick" x={34 + column * size} y="12">
                  {cell.label.split(" ")[1]}
                </text>
              ) : null}
              <rect className={`elt-day elt-day-${kind}`} x={34 + column * size} y={20 + (place % 7) * size} width={size - 3} height={size - 3} rx="3">
                <title>{`${cell.label}: ${told}`}</title>
              </rect>
            </g>
          );
        })}
      </svg>
      <p className="elt-legend">
        <span><i className="elt-day-whole" /> loaded</span>
        <span><i className="elt-day-part" /> in part</span>
        <span><i className="elt-day-gap" /> not loaded</span>
        <span><i className="elt-day-bad" /> failed</span>
      </p>
    </figure>
  );
};

export const seconds = (value: number): string => (value === 0 ? "0" : value < 10 ? `${Number(value.toFixed(1))} s` : span(value));
