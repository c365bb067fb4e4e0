/**
 * Edits nsswitch.conf: puts our service last in `passwd` and `group`, or removes it. Every other
 * byte stays as it is, but a missing line or a missing newline at the end is added. Pure.
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

/** The name of the module libnss_NAME.so.2 in nsswitch.conf. */
export const serviceName = "cm4all_logname";

const isOurs = (service: Service): boolean => service.name === serviceName;

/**
 * Returns the reason why our service would be useless or harmful after these services; undefined
 * if it can be put there.
 */
export function findObstacle(services: readonly Service[]): string | undefined {
  for (const { name, bracket, actions } of services) {
    const written = `"${name} ${bracket.trim()}"`;
    const hiding = (["NOTFOUND", "UNAVAIL", "TRYAGAIN"] satisfies Status[]).find(
      (status) => actions[status] === "return",
    );
    if (hiding !== undefined)
      return `${written} ends the search on ${hiding}, so ${serviceName} after it would be hidden`;
    if (actions.SUCCESS === "continue")
      return `${written} goes on after an account has been found, so ${serviceName} after it could override a real one`;
  }
  return undefined;
}

/** Returns the services before and after ours; undefined if ours is not in the line. */
export function splitAtService(
  line: DatabaseLine,
): { before: readonly Service[]; behind: readonly Service[] } | undefined {
  const index = line.services.findIndex(isOurs);
  if (index === -1) return undefined;
  return { before: line.services.slice(0, index), behind: line.services.slice(index + 1) };
}

/**
 * Removes our service together with the actions in the bracket after it: otherwise, these actions
 * would apply to the answers of the service before ours.
 */
function withoutService(line: DatabaseLine): DatabaseLine {
  const services: Service[] = [];
  let gap = "";
  for (const service of line.services) {
    if (isOurs(service)) {
      gap ||= service.gap;
      continue;
    }
    // `a ours[...]b` must not become `ab`.
    services.push(service.gap === "" ? { ...service, gap } : service);
    gap = "";
  }
  return { ...line, services };
}

/**
 * Puts our service last.
 * @throws NsswitchError if it would be hidden, or could hide a real account
 */
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
 * Returns a line for a database that has none. It names `files`, which glibc uses if there is no
 * line.
 * @throws NsswitchError if the file does not look like nsswitch.conf
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
 * Returns the text with our service last in both lines.
 * @param text with one character for each byte ("latin1"), as for the other functions
 * @throws NsswitchError if the text is not understood, or the service cannot be put last
 */
export function addService(text: string): string {
  const lines = parseNsswitch(text);
  const edited = printNsswitch(mapLines(lines, withServiceLast));
  const missing = databases.filter((database) => findLine(lines, database) === undefined);
  if (missing.length === 0) return edited;
  // glibc ignores a last line without a newline, so the line gets one.
  const ended = edited === "" || edited.endsWith("\n") ? edited : `${edited}\n`;
  return ended + missing.map((database) => missingLine(lines, database)).join("");
}

/** Returns the text without our service. @throws NsswitchError if the text is not understood */
export function removeService(text: string): string {
  const lines = parseNsswitch(text);
  return printNsswitch(
    mapLines(lines, (line) => (line.services.some(isOurs) ? withoutService(line) : line)),
  );
}
