/**
 * The methods by which a server may authenticate us: `require_auth` and `channel_binding`. The
 * messages are libpq's. Pure.
 * @see PostgreSQL manual, "Parameter Key Words"
 */
import { ConninfoError } from "./options.ts";
import type { Target } from "./target.ts";

/** The messages of libpq, by the names in `require_auth`. */
const REQUESTS = {
  password: "server requested a cleartext password",
  md5: "server requested a hashed password",
  "scram-sha-256": "server requested SASL authentication",
  gss: "server requested GSSAPI authentication",
  sspi: "server requested SSPI authentication",
  none: "server did not complete authentication",
} as const;

export type Method = keyof typeof REQUESTS;

const BOUND = "SCRAM-SHA-256-PLUS";

export class AuthenticationRules {
  readonly #text: string;
  readonly #allowed: ReadonlySet<string>;
  readonly #binding: string;
  /** The method that the server has asked for; `none` if it has asked for none. */
  #method: Method = "none";
  #isBound = false;

  /** Reads the rules. @throws ConninfoError if they name an unknown method */
  constructor(target: Target) {
    this.#text = target.option("require_auth") ?? "";
    this.#allowed = allowedMethods(this.#text);
    this.#binding = target.option("channel_binding") ?? "prefer";
  }

  /** True if the client is to use channel binding whenever it can. */
  get wantsBinding(): boolean {
    return this.#binding !== "disable";
  }

  /**
   * Notes the method that the server asks for.
   * @param mechanisms the SASL mechanisms that the server offers
   */
  request(method: Method, mechanisms: readonly string[] = []): void {
    this.#method = method;
    this.#isBound = mechanisms.includes(BOUND);
  }

  /** Returns the reason why the request must not be answered; undefined if it may be. */
  refuseRequest(isEncrypted: boolean): string | undefined {
    const refused = this.#refuseMethod();
    if (refused !== undefined || this.#binding !== "require") return refused;
    if (this.#method !== "scram-sha-256")
      return "channel binding required but not supported by server's authentication request";
    if (!isEncrypted) return "channel binding required, but SSL not in use";
    return this.#isBound
      ? undefined
      : "channel binding is required, but server did not offer an authentication method that supports channel binding";
  }

  /** Returns why to refuse a server that lets us in without a request; undefined to accept it. */
  refuseEntry(): string | undefined {
    if (this.#method !== "none") return undefined;
    const refused = this.#refuseMethod();
    if (refused !== undefined || this.#binding !== "require") return refused;
    return "channel binding required, but server authenticated client without channel binding";
  }

  #refuseMethod(): string | undefined {
    if (this.#allowed.has(this.#method)) return undefined;
    return `authentication method requirement "${this.#text}" failed: ${REQUESTS[this.#method]}`;
  }
}

function allowedMethods(text: string): Set<string> {
  const all = Object.keys(REQUESTS);
  if (text === "") return new Set(all);
  const words = text.split(",");
  const isNegative = words[0]?.startsWith("!") ?? false;
  const names = words.map((word) => {
    const name = word.replace(/^!/, "");
    if (!all.includes(name)) throw new ConninfoError(`invalid require_auth value: "${name}"`);
    if (word.startsWith("!") !== isNegative)
      throw new ConninfoError(
        isNegative
          ? `require_auth method "${word}" cannot be mixed with negative methods`
          : `negative require_auth method "${word}" cannot be mixed with non-negative methods`,
      );
    return name;
  });
  const twice = words.find((word, i) => words.indexOf(word) !== i);
  if (twice !== undefined)
    throw new ConninfoError(`require_auth method "${twice}" is specified more than once`);
  return new Set(isNegative ? all.filter((name) => !names.includes(name)) : names);
}
