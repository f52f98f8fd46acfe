// A field of search whose text goes into the URL. What is typed shows at the moment of typing, however fast.
import { useEffect, useRef, useState } from "react";
import type { RefObject } from "react";
import { useView } from "./view";

export const Search = ({ hint, field }: { hint: string; field?: RefObject<HTMLInputElement | null> }) => {
  const [view, change] = useView();
  const asked = view.get("q") ?? "";
  const sent = useRef(asked);
  const [text, setText] = useState(asked);
  useEffect(() => {
    // another view was chosen, or all filters were cleared
    if (asked !== sent.current) {
      sent.current = asked;
      setText(asked);
    }
  }, [asked]);
  useEffect(() => {
    if (text === sent.current) return undefined;
    const timer = window.setTimeout(() => {
      sent.current = text;
      change({ q: text });
    }, 120);
    return () => window.clearTimeout(timer);
  }, [text, change]);
  return (
    <input
      ref={field}
      type="search"
      className="elt-search"
      placeholder={hint}
      aria-label="Search"
      value={text}
      onChange={(event) => setText(event.target.value)}
    />
  );
};
