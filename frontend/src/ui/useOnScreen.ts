import { type RefObject, useEffect, useState } from "react";

const targets = new WeakMap<Element, (visible: boolean) => void>();
let observer: IntersectionObserver | null = null;

/** Whether an element is on the screen or nearly so; what is not need not be kept up to date. One observer serves all. */
export function useOnScreen(ref: RefObject<Element | null>): boolean {
  const [visible, setVisible] = useState(true);
  useEffect(() => {
    const element = ref.current;
    if (!element || typeof IntersectionObserver === "undefined") return;
    observer ??= new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) targets.get(target)?.(isIntersecting);
      },
      { rootMargin: "400px" },
    );
    const mine = observer;
    targets.set(element, setVisible);
    mine.observe(element);
    return () => mine.unobserve(element);
  }, [ref]);
  return visible;
}
