/** What the chosen runs have in common that the others do not. */
import { address } from "../api/client";
import type { Explanation, SharedAttribute } from "../api/types";
import { useAnswer } from "../api/use";
import { count, percent } from "../format";
import { Card, Empty, Meter, Name, Shown, Table, When } from "../parts/parts";
import { hereHref, pageHref, param } from "../state/url";
import { attributeWords, sharedFirst, valueWords } from "./explain_layout";

const SHOWN_FIRST = 20;
const WITHIN: readonly (readonly [string, string])[] = [
  ["version", "of the same agent and version"],
  ["agent", "of the same agent"],
  ["project", "of all agents"],
];

/** `filters` are those of the list, by which the runs were chosen. */
export function RunsExplain({ filters }: { filters: Record<string, string | number | null> }) {
  const asked = param("within");
  const within = WITHIN.find(([name]) => name === asked)?.[0] ?? "version";
  const where = address("/v1/explain", { ...filters, within });
  const answer = useAnswer<Explanation>(where);
  return (
    <Card
      title="What do these share?"
      note={
        <span class="choices">
          beside other runs
          {WITHIN.map(([name, words]) => (
            <a
              key={name}
              href={hereHref({ within: name })}
              aria-current={name === within ? "true" : undefined}
            >
              {words}
            </a>
          ))}
          <a href={where} target="_blank" rel="noopener">
            JSON
          </a>
        </span>
      }
    >
      <Shown answer={answer} rows={5}>
        {(found) => <Shares found={found} />}
      </Shown>
    </Card>
  );
}

function Shares({ found }: { found: Explanation }) {
  const { selection, rest, attributes, tested } = found;
  const sure = sharedFirst(attributes.filter(({ significant }) => significant));
  const all = param("explain") === "all";
  const shown = all ? sure : sure.slice(0, SHOWN_FIRST);
  return (
    <>
      <p class="note" role="status">
        {count(selection.runs)} chosen runs beside {count(rest.runs)} others, <When at={found.window.since} />{" "}
        – <When at={found.window.until} />.{sampled("chosen", selection.share)}
        {sampled("other", rest.share)} {count(tested)} attributes were tested; p is corrected for all of them
        ({found.correction}).
      </p>
      {shown.length > 0 ? (
        <ShareTable shown={shown} confidence={found.confidence} />
      ) : (
        <Empty title="Nothing sets these runs apart beyond chance.">
          {selection.runs === 0 || rest.runs === 0
            ? "There are no runs to tell apart: drag over a part of the heatmap, filter, or choose a longer window."
            : "Choose more of them, or a longer window: a few runs show large differences alone."}
        </Empty>
      )}
      {sure.length > shown.length && (
        <p class="note">
          <a href={hereHref({ explain: "all" })}>all {count(sure.length)}</a>
        </p>
      )}
    </>
  );
}

const sampled = (which: string, share: number): string =>
  share < 1 ? ` Of the ${which} ones a sample of ${percent(share)} was read.` : "";

function ShareTable({ shown, confidence }: { shown: SharedAttribute[]; confidence: number }) {
  return (
    <Table
      caption="What the chosen runs share"
      head={
        <>
          <th scope="col">what</th>
          <th scope="col">value</th>
          <th scope="col" class="num">
            of these
          </th>
          <th scope="col" class="num">
            of the others
          </th>
          <th scope="col" class="num">
            difference
          </th>
          <th scope="col">runs</th>
        </>
      }
    >
      {shown.map((one) => (
        <tr key={`${one.attribute} ${one.key} ${one.operator} ${one.value}`}>
          <td class="tight">
            <bdi>{attributeWords(one)}</bdi>
          </td>
          <td>
            <Name>{valueWords(one)}</Name>
          </td>
          <td class="num">
            <Meter share={one.selection_rate} /> <span class="n">{percent(one.selection_rate)}</span>
            <span class="sub">{count(one.selection)}</span>
          </td>
          <td class="num">
            <Meter share={one.rest_rate} /> <span class="n">{percent(one.rest_rate)}</span>
            <span class="sub">{count(one.rest)}</span>
          </td>
          <td class="num">
            {points(one.difference)} points
            {one.low !== null && one.high !== null && (
              <span class="sub">
                {percent(confidence)}: {points(one.low)} to {points(one.high)}
              </span>
            )}
          </td>
          <td>{one.filter && <a href={pageHref("/runs", one.filter)}>list</a>}</td>
        </tr>
      ))}
    </Table>
  );
}

const points = (share: number): string => `${share < 0 ? "−" : "+"}${Math.abs(share * 100).toFixed(1)}`;
