/** The API's reference, from its own OpenAPI document. */
import { useAnswer } from "../api/use";
import { Card, Code, PageHead, Prose, Shown, Table } from "../parts/parts";

interface Schema {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  anyOf?: Schema[];
  items?: Schema;
  format?: string;
  description?: string;
  default?: unknown;
  properties?: Record<string, Schema>;
  examples?: unknown[];
}

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

interface Operation {
  summary?: string;
  description?: string;
  parameters?: Parameter[];
  responses: Record<string, { description?: string; content?: Record<string, { schema?: Schema }> }>;
}

interface Document {
  info: { title: string; description: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

export function Docs() {
  const answer = useAnswer<Document>("/openapi.json");
  return (
    <>
      <PageHead title="API" note="Read-only. These pages use nothing else." json="/openapi.json" />
      <Shown answer={answer} rows={12}>
        {(document) => (
          <>
            <p class="note">{document.info.description}</p>
            <Code
              label="Call it"
              text={`curl -H 'Authorization: Bearer atk_…' '${location.origin}/v1/runs?status=failure&limit=5'`}
            />
            {Object.entries(document.paths).flatMap(([path, operations]) =>
              Object.entries(operations).map(([method, operation]) => (
                <Route
                  key={`${method} ${path}`}
                  path={path}
                  method={method.toUpperCase()}
                  operation={operation}
                  all={document}
                />
              )),
            )}
          </>
        )}
      </Shown>
    </>
  );
}

function Route({
  path,
  method,
  operation,
  all,
}: {
  path: string;
  method: string;
  operation: Operation;
  all: Document;
}) {
  const example = exampleOf(operation, all);
  return (
    <Card
      title={
        <>
          <span class="method">{method}</span> <code>{path}</code>
        </>
      }
      note={operation.summary}
    >
      {operation.description && (
        <p>
          <Prose>{operation.description}</Prose>
        </p>
      )}
      {operation.parameters && operation.parameters.length > 0 && (
        <Table
          caption={`Parameters of ${path}`}
          head={
            <>
              <th scope="col">parameter</th>
              <th scope="col">form</th>
              <th scope="col">meaning</th>
            </>
          }
        >
          {operation.parameters.map((parameter) => (
            <tr key={parameter.name}>
              <td>
                <code>{parameter.name}</code>
                {parameter.required && <span class="note"> required</span>}
              </td>
              <td>{formOf(parameter.schema, all)}</td>
              <td class="wide-cell">{parameter.description && <Prose>{parameter.description}</Prose>}</td>
            </tr>
          ))}
        </Table>
      )}
      <p class="note">
        {Object.entries(operation.responses).map(([status, { description }]) => (
          <span key={status} class="answer" title={description}>
            {status}
          </span>
        ))}
      </p>
      {example && (
        <details>
          <summary>example of an answer</summary>
          <Code label={`Answer of ${path}`} text={example} />
        </details>
      )}
    </Card>
  );
}

const resolved = (schema: Schema | undefined, all: Document): Schema =>
  schema?.$ref ? (all.components.schemas[schema.$ref.split("/").pop()!] ?? {}) : (schema ?? {});

function formOf(schema: Schema | undefined, all: Document): string {
  const found = resolved(schema, all);
  if (found.enum) return found.enum.map(String).join(" | ");
  if (found.anyOf) return found.anyOf.map((one) => formOf(one, all)).join(" | ");
  const usual = found.default === undefined ? "" : ` (default ${JSON.stringify(found.default)})`;
  return `${found.format ?? found.type ?? "any"}${usual}`;
}

function exampleOf(operation: Operation, all: Document): string | null {
  const schema = resolved(operation.responses["200"]?.content?.["application/json"]?.schema, all);
  const found = schema.examples?.[0];
  return found === undefined ? null : JSON.stringify(found, null, 2);
}
