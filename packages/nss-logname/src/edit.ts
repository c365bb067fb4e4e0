/**
 * The edits of nsswitch.conf: our service put last into `passwd` and `group`, and
 * taken out again. Pure; every other byte stays as it is.
 */
import {
  type Database,
  type DatabaseLine,
  databases,
  findLine,
  type Nsswitch,
  NsswitchError,
  parseNsswitch,
  printNsswitch,
  type Service,
  type Status,
} from "./nsswitch.ts";

/** What nsswitch.conf calls the module: libnss_NAME.so.2. */
export const serviceName = "cm4all_logname";

const isOurs = (service: Service): boolean => service.name === serviceName;

/**
 * Why our service would be of no use behind these, or would do harm there;
 * undefined where it can be put behind them.
 */
export function findObstacle(services: readonly Service[]): string | undefined {
  for (const { name, bracket, actions } of services) {
    const written = `"${name} ${bracket.trim()}"`;
    const hiding = (["NOTFOUND", "UNAVAIL", "TRYAGAIN"] satisfies Status[]).find(
      (status) => actions[status] === "return",
    );
    if (hiding !== undefined)
      return `${written} ends the search on ${hiding}, so ${serviceName} behind it would be hidden`;
    if (actions.SUCCESS === "continue")
      return `${written} goes on after an account was found, so ${serviceName} behind it could overrule a real one`;
  }
  return undefined;
}

/** The services before ours and behind it, or undefined where it is not in the line. */
export function splitAtService(
  line: DatabaseLine,
): { before: readonly Service[]; behind: readonly Service[] } | undefined {
  const index = line.services.findIndex(isOurs);
  if (index === -1) return undefined;
  return { before: line.services.slice(0, index), behind: line.services.slice(index + 1) };
}

/**
 * Takes the service out, with the actions in the bracket behind it: they are about
 * its answers, and would else be about those of the service before.
 */
function withoutService(line: DatabaseLine): DatabaseLine {
  const services: Service[] = [];
  let gap = "";
  for (const service of line.services) {
    if (isOurs(service)) {
      gap ||= service.gap;
      continue;
    }
    // `a ours[...]b`: what is left must not grow together.
    services.push(service.gap === "" ? { ...service, gap } : service);
    gap = "";
  }
  return { ...line, services };
}

/** @throws NsswitchError where the service would be hidden, or could hide a real account */
function withServiceLast(line: DatabaseLine): DatabaseLine {
  const obstacle = findObstacle(line.services.filter((service) => !isOurs(service)));
  if (obstacle !== undefined)
    throw new NsswitchError(line.number, `${line.database}: ${obstacle}; nothing was changed`);
  const ended = line.tail.endsWith("\n") ? line : { ...line, tail: `${line.tail}\n` };
  if (splitAtService(line)?.behind.length === 0) return ended;
  const others = withoutService(ended);
  const ours: Service = {
    gap: " ",
    name: serviceName,
    bracket: "",
    actions: { SUCCESS: "return", NOTFOUND: "continue", UNAVAIL: "continue", TRYAGAIN: "continue" },
  };
  return { ...others, services: [...others.services, ours] };
}

function mapLines(lines: Nsswitch, edit: (line: DatabaseLine) => DatabaseLine): Nsswitch {
  return lines.map((line) => (line.database === undefined ? line : edit(line)));
}

const looksRight = (text: string): boolean =>
  text === "" || text.startsWith("#") || /^[\w-]+\s*:/.test(text);

/**
 * A line for a database that has none: without one glibc asks the files.
 * @throws NsswitchError where the file looks like something else
 */
function missingLine(lines: Nsswitch, database: Database): string {
  const strange = lines.findIndex(
    (line) => line.database === undefined && !looksRight(line.text.trim()),
  );
  if (strange !== -1)
    throw new NsswitchError(
      strange + 1,
      `this does not look like a line of nsswitch.conf, and there is no ${database} line`,
    );
  return `${database}: files ${serviceName}\n`;
}

/**
 * The text with the service last in both lines.
 * @param text one character for each byte ("latin1"), as for the other functions
 * @throws NsswitchError
 */
export function addService(text: string): string {
  const lines = parseNsswitch(text);
  const edited = printNsswitch(mapLines(lines, withServiceLast));
  const missing = databases.filter((database) => findLine(lines, database) === undefined);
  if (missing.length === 0) return edited;
  // glibc ignores a last line that has no end, so it gets one.
  const ended = edited === "" || edited.endsWith("\n") ? edited : `${edited}\n`;
  return ended + missing.map((database) => missingLine(lines, database)).join("");
}

/** @throws NsswitchError for a text that is not understood */
export function removeService(text: string): string {
  const lines = parseNsswitch(text);
  return printNsswitch(
    mapLines(lines, (line) => (line.services.some(isOurs) ? withoutService(line) : line)),
  );
}
