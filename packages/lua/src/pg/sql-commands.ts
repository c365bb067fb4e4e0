/**
 * The commands in a query string, by their first words. Pure.
 * @see PostgreSQL manual, "CREATE FUNCTION": sql_body; "CREATE RULE"
 */
import { tokensOf } from "./sql-tokens.ts";

/** Commands whose body may consist of other commands, between BEGIN ATOMIC and END. */
const HAS_BODY = /^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE)\b/;

class Commands {
  readonly found: string[] = [];
  #words: string[] = [];
  #isOpen = true;
  #previous = "";
  /**
   * The depth of parentheses. Within them, a `;` may separate the commands of a rule, and BEGIN
   * ATOMIC may be the name and the type of an argument.
   */
  #depth = 0;
  #isInBody = false;

  take(token: string): void {
    const word = token.toUpperCase();
    const previous = this.#previous;
    this.#previous = word;
    if (this.#isInBody) {
      // The END of a body follows ";" or ATOMIC. Any other END belongs to a CASE, or is a name.
      this.#isInBody = word !== "END" || (previous !== ";" && previous !== "ATOMIC");
      return;
    }
    if (word === "(") this.#depth++;
    else if (word === ")") this.#depth--;
    if (this.#depth <= 0) {
      if (word === ";") {
        this.end();
        return;
      }
      this.#isInBody =
        word === "ATOMIC" && previous === "BEGIN" && HAS_BODY.test(this.#words.join(" "));
    }
    this.#note(word);
  }

  end(): void {
    if (this.#words.length > 0) this.found.push(this.#words.join(" "));
    this.#words = [];
    this.#isOpen = true;
    this.#depth = 0;
  }

  #note(word: string): void {
    if (this.#isOpen && /^[A-Z]+$/.test(word)) this.#words.push(word);
    else {
      // A command that does not begin with a word, such as "(SELECT ...)".
      if (this.#words.length === 0) this.#words.push("");
      this.#isOpen = false;
    }
  }
}

/**
 * Returns the first words of each command, in capitals, up to the first token that is not a
 * word.
 * @param hasBackslashes true if the server's standard_conforming_strings is off
 */
export function commandsOf(sql: string, hasBackslashes = false): string[] {
  const commands = new Commands();
  for (const token of tokensOf(sql, hasBackslashes)) commands.take(token);
  commands.end();
  return commands.found;
}
