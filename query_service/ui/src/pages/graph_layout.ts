/** Steps of a run by their path of names, added up: a tree that stays small however long the run is. Pure. */
import type { RunTree } from "../waterfall/tree";

export interface GraphNode {
  name: string;
  kind: string;
  steps: number;
  failing: number;
  us: number;
  depth: number;
  /** Place from the top, in rows. */
  y: number;
  parent: number;
}

export interface Graph {
  nodes: GraphNode[];
  depth: number;
  rows: number;
  /** Paths beyond the most that is drawn. */
  more: number;
}

export const NODES_MOST = 200;

export function graphOf({ steps, strings, kinds }: RunTree, agent: string): Graph {
  const nodes: GraphNode[] = [
    { name: agent, kind: "agent", steps: 0, failing: 0, us: 0, depth: 0, y: 0, parent: -1 },
  ];
  const known = new Map<string, number>();
  const nodeOf = new Int32Array(steps.id.length).fill(-1);
  const missed = new Set<string>();
  for (let row = 0; row < nodeOf.length; row++) visit(row);
  /** A parent may stand behind its child where clocks disagree, so it is made first. Circles end at the root. */
  function visit(start: number): void {
    const chain: number[] = [];
    for (
      let row = start;
      row !== -1 && nodeOf[row] === -1 && !chain.includes(row) && chain.length < 200;
      row = steps.parent[row]!
    ) {
      chain.push(row);
    }
    for (const row of chain.reverse()) {
      const above = steps.parent[row] === -1 ? 0 : Math.max(nodeOf[steps.parent[row]!]!, 0);
      const key = `${above} ${steps.kind[row]} ${steps.name[row]}`;
      let node = known.get(key);
      if (node === undefined && nodes.length >= NODES_MOST) {
        missed.add(key);
        node = above;
      } else if (node === undefined) {
        const name = strings[steps.name[row]!] ?? "";
        const depth = nodes[above]!.depth + 1;
        node =
          nodes.push({
            name,
            kind: kinds[steps.kind[row]!] ?? "other",
            steps: 0,
            failing: 0,
            us: 0,
            depth,
            y: 0,
            parent: above,
          }) - 1;
        known.set(key, node);
      }
      nodeOf[row] = node;
      const found = nodes[node]!;
      found.steps += 1;
      found.failing += steps.error[row]!;
      found.us += steps.duration_us[row]!;
    }
  }
  const rows = place(nodes);
  return { nodes, rows, depth: Math.max(...nodes.map((node) => node.depth)), more: missed.size };
}

/** Each leaf has a row of its own; what is above stands in the middle of what is below. */
function place(nodes: GraphNode[]): number {
  const below = new Map<number, number[]>();
  nodes.forEach((node, at) => {
    if (node.parent !== -1) below.set(node.parent, [...(below.get(node.parent) ?? []), at]);
  });
  let row = 0;
  const settle = (at: number): void => {
    const inside = below.get(at) ?? [];
    inside.forEach(settle);
    nodes[at]!.y = inside.length ? (nodes[inside[0]!]!.y + nodes[inside[inside.length - 1]!]!.y) / 2 : row++;
  };
  settle(0);
  return row;
}
