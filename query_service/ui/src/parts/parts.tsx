/** The small pieces that every page is made of: status, states of an answer, facts, copying, addresses of the JSON behind. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { ApiError } from "../api/client";
import type { RunStatus } from "../api/types";
import type { Answer } from "../api/use";
import { time } from "../format";
import { zoneName } from "../state/window";

const SIGNS: Record<RunStatus, string> = {
  running: "◌",
  success: "●",
  partial: "◐",
  failure: "✕",
  abandoned: "⊘",
};

/** In words and by a sign: never by colour alone. */
export function Status({ of }: { of: RunStatus }) {
  return (
    <span class={`status status-${of}`}>
      <span aria-hidden="true">{SIGNS[of]}</span> {of}
    </span>
  );
}

export function Kind({ of }: { of: string }) {
  return (
    <span class="kind-word">
      <span class={`kind kind-${of}`} aria-hidden="true" /> {of}
    </span>
  );
}

/** A name from outside. It is always text, and a mark that turns the direction of writing stays inside it. */
export function Name({ children, href }: { children: string; href?: string | undefined }) {
  const text = <bdi class="name">{children}</bdi>;
  return href === undefined ? text : <a href={href}>{text}</a>;
}

export function When({
  at,
  form = "minute",
}: {
  at: string | null;
  form?: "full" | "clock" | "day" | "minute" | "second";
}) {
  if (at === null) return <>–</>;
  return (
    <time dateTime={at} title={`${time(at, "full")} ${zoneName.value}`}>
      {time(at, form)}
    </time>
  );
}

export function PageHead(props: {
  title: ComponentChildren;
  note?: ComponentChildren;
  json?: string;
  children?: ComponentChildren;
}) {
  return (
    <header class="page-head">
      <div class="page-title">
        <h1>{props.title}</h1>
        {props.note && <p class="note">{props.note}</p>}
      </div>
      <div class="page-tools">
        {props.children}
        {props.json && (
          <a
            class="quiet"
            href={props.json}
            target="_blank"
            rel="noopener"
            title="What this page shows, as the API answers it"
          >
            JSON
          </a>
        )}
      </div>
    </header>
  );
}

export function Card(props: {
  title?: ComponentChildren;
  note?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
}) {
  return (
    <section class={`card ${props.class ?? ""}`}>
      {props.title && (
        <div class="card-head">
          <h2>{props.title}</h2>
          {props.note && <span class="note">{props.note}</span>}
        </div>
      )}
      {props.children}
    </section>
  );
}

/** `page` where it is all that there is: then its title is the page's heading. */
export function Empty({
  title,
  page,
  children,
}: {
  title: string;
  page?: boolean;
  children?: ComponentChildren;
}) {
  return (
    <div class="empty">
      {page ? <h1>{title}</h1> : <p class="empty-title">{title}</p>}
      {children && <div class="note">{children}</div>}
    </div>
  );
}

export function Loading({ rows = 6 }: { rows?: number }) {
  return (
    <div class="loading" role="status">
      <span class="visually-hidden">Loading</span>
      {Array.from({ length: rows }, (_, at) => (
        <span key={at} class="skeleton" aria-hidden="true" />
      ))}
    </div>
  );
}

const HINTS: Record<string, string> = {
  query_timeout: "This asks for too much at once. Choose a shorter window or more filters.",
  too_many_figures: "This window holds too many different figures. Choose a shorter one, or one agent.",
  project_busy: "Other questions of this project are being answered. It is asked again by itself.",
  run_not_found:
    "The project has no run of this id: it may be of another project, expired, deleted or not arrived yet.",
};

export function Refused({ error, retry }: { error: ApiError; retry?: () => void }) {
  return (
    <div class="refused" role="alert">
      <p class="empty-title">{HINTS[error.code] ?? error.message}</p>
      <p class="note">
        <code>{error.code}</code>
        {error.retryAfter > 0 && <> · asking again every {error.retryAfter} s</>}
        {retry && (
          <>
            {" · "}
            <button type="button" class="link" onClick={retry}>
              ask again now
            </button>
          </>
        )}
      </p>
    </div>
  );
}

/** Shows an answer, or where it is. What was there stays while the next one is on its way. */
export function Shown<T>({
  answer,
  children,
  rows,
}: {
  answer: Answer<T>;
  children: (data: T) => ComponentChildren;
  rows?: number;
}) {
  const { data, error } = answer;
  return (
    <>
      {error && <Refused error={error} retry={answer.reload} />}
      {data !== undefined ? (
        <div class={answer.loading ? "shown stale" : "shown"}>{children(data)}</div>
      ) : (
        !error && <Loading rows={rows ?? 6} />
      )}
    </>
  );
}

export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  const said = useSignal(false);
  return (
    <button
      type="button"
      class="quiet"
      onClick={() => {
        void copy(text).then(() => {
          said.value = true;
          setTimeout(() => (said.value = false), 1500);
        });
      }}
    >
      {said.value ? "copied" : label}
    </button>
  );
}

/** Over plain HTTP on another host there is no clipboard: then nothing is copied, and nothing breaks. */
export async function copy(text: string): Promise<void> {
  await (navigator as { clipboard?: Clipboard }).clipboard?.writeText(text).catch(() => undefined);
}

export function Code({ text, label }: { text: string; label: string }) {
  return (
    <div class="code">
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
      <Copy text={text} label="copy" />
    </div>
  );
}

interface TableProps {
  caption: string;
  head: ComponentChildren;
  children: ComponentChildren;
}

/** A wide table scrolls inside its frame, by keyboard too, and has a caption for those who do not see where it stands. */
export function Table({ caption, head, children }: TableProps) {
  return (
    <div class="table-frame" tabIndex={0} role="region" aria-label={caption}>
      <table>
        <caption class="visually-hidden">{caption}</caption>
        <thead>
          <tr>{head}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** A share of the largest, drawn behind a number. */
export function Meter({ share, tone = "accent" }: { share: number; tone?: "accent" | "bad" }) {
  return (
    <span class="meter" aria-hidden="true">
      <span
        class={`meter-fill tone-${tone}`}
        style={{ width: `${Math.min(Math.max(share, 0), 1) * 100}%` }}
      />
    </span>
  );
}

export function Tabs({
  tabs,
  chosen,
  href,
}: {
  tabs: { id: string; name: ComponentChildren }[];
  chosen: string;
  href: (id: string) => string;
}) {
  return (
    <nav class="tabs" aria-label="Parts of this page">
      {tabs.map(({ id, name }) => (
        <a key={id} href={href(id)} aria-current={id === chosen ? "page" : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}

/** A text in which what stands between backticks is code. */
export function Prose({ children }: { children: string }) {
  return <>{children.split("`").map((part, at) => (at % 2 ? <code key={at}>{part}</code> : part))}</>;
}
