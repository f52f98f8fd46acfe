// The states of a table, those first that a person must do something about.
export const STATES = [
  "broken",
  "failing",
  "rejecting",
  "late",
  "waiting",
  "unknown",
  "never loaded",
  "paused",
  "fresh",
] as const;
export type State = (typeof STATES)[number];

export const urgency = (state: string): number => {
  const place = STATES.indexOf(state as State);
  return place < 0 ? STATES.length : place;
};

export const tone = (state: string): string => state.replace(" ", "-");
