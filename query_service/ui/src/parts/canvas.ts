/** A picture on canvas that is drawn again when its size, its data or the colours change. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

/** The colour of a token as it is now, light or dark: a canvas cannot read tokens itself. */
export function token(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Calls `draw` now, when `of` is another one, on every change of size, and when light turns to dark. */
export function useCanvas(
  draw: (context: CanvasRenderingContext2D, width: number, height: number) => (() => void) | undefined,
  of: unknown,
) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const turn = useSignal(0);
  useEffect(() => {
    const element = canvas.current!;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const again = () => {
      turn.value += 1;
    };
    const sizes = new ResizeObserver(again);
    sizes.observe(element);
    dark.addEventListener("change", again);
    return () => {
      sizes.disconnect();
      dark.removeEventListener("change", again);
    };
  }, [turn]);
  useEffect(() => {
    turn.value += 1;
  }, [of, turn]);
  useSignalEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (turn.value < 0 || !element || !context) return undefined;
    const { clientWidth: width, clientHeight: height } = element;
    const ratio = devicePixelRatio || 1;
    element.width = Math.round(width * ratio);
    element.height = Math.round(height * ratio);
    context.scale(ratio, ratio);
    return draw(context, width, height);
  });
  return canvas;
}
