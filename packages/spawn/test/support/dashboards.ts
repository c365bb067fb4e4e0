/** The dashboards of examples/grafana, and the queries in them as Grafana sends them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const DIRECTORY = fileURLToPath(new URL("../../../../examples/grafana", import.meta.url));

interface Target {
  readonly expr?: string;
  readonly rawSql?: string;
}

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly options?: object;
  readonly targets?: readonly Target[];
}

interface Variable {
  readonly type: string;
  readonly query: string | { readonly query: string };
  /**
   * The text that Grafana inserts, unquoted, if "All" is chosen; if this is undefined, Grafana
   * inserts a list of all values.
   */
  readonly allValue?: string;
}

export interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
}

/** A query, and the panel or variable to which it belongs. */
export interface Query {
  readonly place: string;
  readonly text: string;
}

export const dashboardFiles = readdirSync(DIRECTORY).filter((name) => name.endsWith(".json"));

export function readDashboard(file: string): Dashboard {
  return JSON.parse(readFileSync(join(DIRECTORY, file), "utf8"));
}

/** Returns the queries for Prometheus, with `$instance` and `$__rate_interval` replaced. */
export function prometheusQueries(
  { uid, panels, templating }: Dashboard,
  instance: string,
): Query[] {
  const substitute = (text: string) =>
    text.replaceAll("$instance", instance).replaceAll("$__rate_interval", "1m");
  return [
    ...templating.list.flatMap(({ type, query }) => {
      const text = typeof query === "string" ? query : query.query;
      const [, selector] = /^label_values\((.*), \w+\)$/.exec(text) ?? [];
      return type === "query" && selector !== undefined
        ? [{ place: `${uid}: variable`, text: selector }]
        : [];
    }),
    ...panels.flatMap(({ title, targets = [] }) =>
      targets.flatMap(({ expr }) =>
        expr === undefined ? [] : [{ place: `${uid}: ${title}`, text: substitute(expr) }],
      ),
    ),
  ];
}

/** Two choices of a viewer: some customers, by name, or all of them. */
export const CHOICES = ["'alice','carol','bob & <b>sons</b>'", "all"] as const;

/** Returns the queries for PostgreSQL, for the last 60 days and the chosen customers. */
export function postgresQueries(
  { uid, panels, templating }: Dashboard,
  choice: (typeof CHOICES)[number],
): Query[] {
  const customers =
    choice === "all" ? (templating.list.find(({ allValue }) => allValue)?.allValue ?? "") : choice;
  const variables = templating.list.flatMap(({ type, query }) =>
    type === "query" && typeof query === "string" ? [query] : [],
  );
  const time = (days: number) => `'${new Date(Date.now() - days * 86_400_000).toISOString()}'`;
  const substitute = (text: string) =>
    text
      .replaceAll("$__timeFrom()", time(60))
      .replaceAll("$__timeTo()", time(0))
      .replaceAll("$customer", customers)
      // Grafana inserts what the viewer has typed, and appends "%". Here nothing was typed.
      .replaceAll("$__searchFilter", "%");
  return [
    ...variables.map((text) => ({ place: `${uid}: variable`, text: substitute(text) })),
    ...panels.flatMap(({ title, targets = [] }) =>
      targets.flatMap(({ rawSql }) =>
        rawSql === undefined ? [] : [{ place: `${uid}: ${title}`, text: substitute(rawSql) }],
      ),
    ),
  ];
}
