// Numbers, moments and spans in words.
import { useEffect, useState } from "react";

const numbers = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value: number): string => numbers.format(value);
export const short = (value: number): string => (value < 10_000 ? numbers.format(value) : compact.format(value));
export const plural = (value: number, word: string): string => `${count(value)} ${word}${value === 1 ? "" : "s"}`;

export const span = (seconds: number): string => {
  const value = Math.abs(seconds);
  if (value < 60) return `${Math.round(value)} s`;
  if (value < 3600) return `${Math.round(value / 60)} min`;
  if (value < 36 * 3600) {
    const hours = Math.floor(value / 3600);
    const minutes = Math.round((value % 3600) / 60);
    return hours < 6 && minutes > 0 && minutes < 60 ? `${hours} h ${minutes} min` : `${Math.round(value / 3600)} h`;
  }
  return value < 730 * 86400 ? plural(Math.round(value / 86400), "day") : `${Math.round(value / 31557600)} years`;
};

export const share = (part: number, whole: number): string => {
  if (part === 0 || whole === 0) return "0 %";
  const value = (100 * part) / whole;
  return value < 0.1 ? "< 0.1 %" : `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
};

const formats = new Map<string, Intl.DateTimeFormat>();
const format = (zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat => {
  const key = `${zone} ${JSON.stringify(options)}`;
  const known = formats.get(key) ?? new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
  formats.set(key, known);
  return known;
};

const DAY: Intl.DateTimeFormatOptions = { year: "numeric", month: "short", day: "numeric" };
const TIME: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

export const day = (text: string, zone: string): string => format(zone, DAY).format(new Date(text));
const shortDay = (text: string, zone: string): string => day(text, zone).replace(/ \d{4}$/, "");
export const time = (text: string, zone: string): string => format(zone, TIME).format(new Date(text));
export const moment = (text: string, zone: string): string => format(zone, { ...DAY, ...TIME }).format(new Date(text));

// a window of whole days by the config's clock is said in days
export const windowWords = (start: string, end: string, zone: string): string => {
  const midnight = (text: string) => time(text, zone) === "00:00";
  if (!midnight(start) || !midnight(end)) {
    if (day(start, zone) === day(end, zone)) return `${moment(start, zone)} – ${time(end, zone)}`;
    return `${moment(start, zone)} – ${time(start, zone) === time(end, zone) ? shortDay(end, zone) : moment(end, zone)}`;
  }
  const before = new Date(new Date(end).getTime() - 3_600_000).toISOString();
  const [first, last] = [day(start, zone), day(before, zone)];
  return first === last ? first : `${first} – ${last}`;
};

export const ago = (text: string, now: number): string => {
  const seconds = (now - new Date(text).getTime()) / 1000;
  return seconds < 0 ? `in ${span(seconds)}` : `${span(seconds)} ago`;
};

// the moment as the page sees it, moved on every ten seconds
export const useNow = (): number => {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 10_000);
    return () => window.clearInterval(timer);
  }, []);
  return now;
};
