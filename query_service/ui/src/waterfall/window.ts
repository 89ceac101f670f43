/** Which rows are mounted: those in view and a few around them, whatever the length of the run. */

export const ROW_PX = 24;
export const AROUND = 6;

export interface Mounted {
  from: number;
  to: number;
}

export function mounted(scrollTop: number, height: number, rows: number): Mounted {
  const from = Math.max(0, Math.floor(scrollTop / ROW_PX) - AROUND);
  return {
    from: Math.min(from, Math.max(0, rows - 1)),
    to: Math.min(rows, Math.ceil((scrollTop + height) / ROW_PX) + AROUND),
  };
}

/** Where to scroll so that a row is in view: not at all if it is. */
export function scrolledTo(row: number, scrollTop: number, height: number): number {
  const top = row * ROW_PX;
  if (top < scrollTop) return top;
  return top + ROW_PX > scrollTop + height ? top + ROW_PX - height : scrollTop;
}

/** The same, in the middle of the view if it is not in view yet. */
export function centred(row: number, scrollTop: number, height: number): number {
  const top = row * ROW_PX;
  return top >= scrollTop && top + ROW_PX <= scrollTop + height ? scrollTop : Math.max(0, top - height / 2);
}
