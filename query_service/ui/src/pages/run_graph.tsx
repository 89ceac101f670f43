/** Which step called which, added up by name. Edges are parent ids. */
import { useMemo } from "preact/hooks";
import type { Run } from "../api/types";
import { count, duration } from "../format";
import type { RunTree } from "../waterfall/tree";
import { graphOf, NODES_MOST } from "./graph_layout";

const WIDE = 196;
const TALL = 40;
const GAP_X = 44;
const GAP_Y = 12;

export function GraphTab({ run, tree }: { run: Run; tree: RunTree }) {
  const graph = useMemo(() => graphOf(tree, run.agent_id), [tree, run.agent_id]);
  const width = (graph.depth + 1) * (WIDE + GAP_X);
  const height = graph.rows * (TALL + GAP_Y) + 4;
  const x = (depth: number) => depth * (WIDE + GAP_X) + 1;
  const y = (row: number) => row * (TALL + GAP_Y) + 1;
  return (
    <>
      <p class="note">
        Steps by the path of their names, added up.{" "}
        {graph.more > 0 &&
          `${count(graph.more)} further paths beyond the first ${NODES_MOST} are counted into the step above them.`}
      </p>
      <div class="graph-frame" tabIndex={0} role="region" aria-label="Graph of steps">
        <div class="graph" style={{ width: `${width}px`, height: `${height}px` }}>
          <svg width={width} height={height} aria-hidden="true">
            {graph.nodes.map((node, at) => {
              if (node.parent === -1) return null;
              const above = graph.nodes[node.parent]!;
              const [x0, y0] = [x(above.depth) + WIDE, y(above.y) + TALL / 2];
              const [x1, y1] = [x(node.depth), y(node.y) + TALL / 2];
              return (
                <path
                  key={at}
                  class="edge"
                  d={`M${x0} ${y0}C${x0 + 22} ${y0} ${x1 - 22} ${y1} ${x1} ${y1}`}
                />
              );
            })}
          </svg>
          <ul>
            {graph.nodes.map((node, at) => (
              <li
                key={at}
                class={`node${node.failing ? " node-bad" : ""}`}
                style={{
                  left: `${x(node.depth)}px`,
                  top: `${y(node.y)}px`,
                  width: `${WIDE}px`,
                  height: `${TALL}px`,
                }}
              >
                <span class="node-name">
                  <span class={`kind kind-${node.kind}`} title={node.kind}>
                    <span class="visually-hidden">{node.kind} </span>
                  </span>
                  <bdi>{node.name}</bdi>
                </span>
                <span class="node-facts">
                  {at === 0
                    ? `${count(tree.agentsFrom)} steps`
                    : `×${count(node.steps)} · ${duration(node.us / 1000)}`}
                  {node.failing > 0 && <span class="bad"> · ✕ {count(node.failing)}</span>}
                </span>
              </li>
            ))}
          </ul>
        </div>
      </div>
    </>
  );
}
