// Rows of the last loads as small bars, with the band in which nine of ten are.
import { memo } from "react";
import { count } from "./words";

const WIDTH = 124;
const HEIGHT = 30;
const STEP = 4.1;

type Props = { loads: number[]; failed: number[]; band: { low: number; high: number } | null };

const bar = (number: number, value: number, most: number): string => {
  const height = Math.max(1.5, (value / most) * (HEIGHT - 2));
  return `M${(number * STEP).toFixed(1)} ${HEIGHT}v${(-height).toFixed(1)}h3v${height.toFixed(1)}z`;
};

export const sparkWords = ({ loads, failed, band }: Props): string => {
  const last = loads[loads.length - 1] ?? 0;
  const usual = band ? `; usually ${count(Math.round(band.low))} to ${count(Math.round(band.high))}` : "";
  const bad = failed.length ? `; ${failed.length} failed` : "";
  return `${loads.length === 1 ? "One load" : `${loads.length} loads`}, the last of ${count(last)} rows${usual}${bad}`;
};

export const Spark = memo((props: Props) => {
  const { loads, failed, band } = props;
  if (loads.length === 0) {
    return <span className="elt-muted">–</span>;
  }
  const most = Math.max(...loads, band?.high ?? 0, 1);
  const shift = 30 - loads.length;
  const odd = (value: number) => band !== null && (value < band.low * 0.999 || value > band.high * 1.001);
  const path = (wanted: (value: number, number: number) => boolean) =>
    loads.map((value, number) => (wanted(value, number) ? bar(number + shift, value, most) : "")).join("");
  const bad = new Set(failed);
  const last = loads.length - 1;
  const y = (value: number) => HEIGHT - (value / most) * (HEIGHT - 2);
  return (
    <svg className="elt-spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={sparkWords(props)}>
      <title>{sparkWords(props)}</title>
      {band ? (
        <rect className="elt-spark-band" x="0" width={WIDTH} y={y(band.high) - 0.5} height={Math.max(y(band.low) - y(band.high) + 1, 2)} />
      ) : null}
      <path className="elt-spark-bar" d={path((value, number) => number !== last && !bad.has(number) && !odd(value))} />
      <path className="elt-spark-odd" d={path((value, number) => !bad.has(number) && odd(value))} />
      <path className="elt-spark-last" d={path((value, number) => number === last && !bad.has(number) && !odd(value))} />
      <path className="elt-spark-bad" d={path((_, number) => bad.has(number))} />
    </svg>
  );
});
