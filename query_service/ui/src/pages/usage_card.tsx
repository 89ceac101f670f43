/** Tokens and cost by model. */
import { address } from "../api/client";
import type { Usage } from "../api/types";
import { useAnswer } from "../api/use";
import { count, money, short } from "../format";
import { Card, Empty, Meter, Name, Shown, Table } from "../parts/parts";
import { pageHref } from "../state/url";
import { zoneName } from "../state/window";

export function UsageCard({ bounds }: { bounds: Record<string, string | null> }) {
  const where = address("/v1/usage", { ...bounds, by: "model", zone: zoneName.value });
  const answer = useAnswer<Usage>(where);
  return (
    <Card title="Models" note="tokens and cost, the most expensive first">
      <Shown answer={answer} rows={4}>
        {(usage) => <UsageTable usage={usage} bounds={bounds} />}
      </Shown>
    </Card>
  );
}

type Row = Usage["rows"][number];
const tokens = ({ input_tokens, output_tokens }: Row): number => input_tokens + output_tokens;

function UsageTable({ usage, bounds }: { usage: Usage; bounds: Record<string, string | null> }) {
  const rows = usage.rows.filter((row) => tokens(row) > 0 || row.cost > 0);
  if (!rows.length) {
    return (
      <Empty title="No step of this window says its tokens.">
        Give <code>model</code>, <code>input_tokens</code> and <code>output_tokens</code> as metadata of a
        step; OpenTelemetry&apos;s attributes of model calls are read as they are.
      </Empty>
    );
  }
  const most = Math.max(...rows.map(tokens), 1);
  const unpriced = rows.reduce((sum, { unpriced_tokens }) => sum + unpriced_tokens, 0);
  const priced = rows.some(({ cost_priced }) => cost_priced > 0);
  return (
    <>
      <Table
        caption="Tokens and cost by model"
        head={
          <>
            <th scope="col">model</th>
            <th scope="col" class="num">
              calls
            </th>
            <th scope="col" class="num">
              tokens
            </th>
            <th scope="col" class="num">
              in
            </th>
            <th scope="col" class="num">
              out
            </th>
            <th scope="col" class="num">
              cost
            </th>
          </>
        }
      >
        {rows.map((row) => (
          <UsageRow key={row.key["model"]} row={row} most={most} currency={usage.currency} bounds={bounds} />
        ))}
      </Table>
      <p class="note">
        {priced && `Where nobody said a cost, it is of list prices of ${usage.prices_version}. `}
        {unpriced > 0 && `${short(unpriced)} tokens are of models without a known price, and in no cost.`}
      </p>
    </>
  );
}

interface RowProps {
  row: Row;
  most: number;
  currency: string;
  bounds: Record<string, string | null>;
}

function UsageRow({ row, most, currency, bounds }: RowProps) {
  const model = row.key["model"] ?? null;
  const { agent_id, agent_version } = bounds;
  return (
    <tr>
      <td>
        {model === null ? (
          "not named"
        ) : (
          <Name href={pageHref("/runs", { model, agent_id, agent_version })}>{model}</Name>
        )}
      </td>
      <td class="num">{count(row.steps)}</td>
      <td class="num">
        <Meter share={tokens(row) / most} /> <span class="n">{count(tokens(row))}</span>
      </td>
      <td class="num">{count(row.input_tokens)}</td>
      <td class="num">{count(row.output_tokens)}</td>
      <td class="num">
        {row.unpriced_tokens === tokens(row) && !row.cost ? "no price" : money(row.cost, currency)}
      </td>
    </tr>
  );
}
