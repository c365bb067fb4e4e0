/** Arrays in PostgreSQL's text form. Pure. @see PostgreSQL manual, "Array Input and Output Syntax" */

/** NULL inside of an array, unquoted. */
export const NULL = Symbol("NULL");

export type ArrayElement = string | typeof NULL | ArrayElement[];

export class ArrayError extends Error {
  override name = "ArrayError";
}

/** Returns the array of elements that are quoted, or arrays themselves. */
export function joinElements(elements: readonly string[]): string {
  return `{${elements.join(",")}}`;
}

/** Returns a text as an element. */
export function quoteElement(text: string): string {
  return SPECIAL.test(text) ? `"${text.replace(/["\\]/g, "\\$&")}"` : `"${text}"`;
}

const SPECIAL = /["\\]/;

/** Parses an array. @throws ArrayError with the position of the mistake */
export function decodeArray(text: string): ArrayElement[] {
  if (text === "") return [];
  // Bounds other than 1 come before the elements: [0:1]={a,b}
  const bounds = /^(?:\[[+-]?\d+:[+-]?\d+\])+=/.exec(text)?.[0] ?? "";
  const parser = new Parser(text, bounds.length);
  const elements = parser.array(1);
  parser.end();
  return elements;
}

class Parser {
  readonly #text: string;
  #at: number;

  constructor(text: string, at: number) {
    this.#text = text;
    this.#at = at;
  }

  array(depth: number): ArrayElement[] {
    this.#expect("{");
    const elements: ArrayElement[] = [];
    if (this.#skip("}")) return elements;
    do elements.push(this.#element(depth));
    while (this.#skip(","));
    this.#expect("}");
    return elements;
  }

  end(): void {
    if (this.#at !== this.#text.length) this.#fail("the array ends before the text does");
  }

  #element(depth: number): ArrayElement {
    if (this.#text[this.#at] === "{") return this.array(depth + 1);
    return this.#text[this.#at] === '"' ? this.#quoted() : this.#unquoted(depth);
  }

  #quoted(): string {
    const match = /"((?:[^"\\]|\\[\s\S])*)"/y;
    match.lastIndex = this.#at;
    const found = match.exec(this.#text);
    if (found === null) return this.#fail('missing " at the end of an element');
    this.#at += found[0].length;
    if (!/[,}]/.test(this.#text[this.#at] ?? "")) this.#fail('expected "," or "}"');
    return (found[1] ?? "").replace(/\\([\s\S])/g, "$1");
  }

  /** Reads an element up to the next comma, or to the closing brace. */
  #unquoted(depth: number): string | typeof NULL {
    const comma = this.#text.indexOf(",", this.#at);
    const brace = this.#text.indexOf("}", this.#at);
    const end = comma === -1 || (depth > 1 && brace !== -1 && brace < comma) ? brace : comma;
    if (end === -1) return this.#fail('missing "}"');
    const element = this.#text.slice(this.#at, end);
    this.#at = end;
    return element === "NULL" ? NULL : element;
  }

  #skip(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#skip(character)) this.#fail(`expected "${character}"`);
  }

  #fail(what: string): never {
    throw new ArrayError(`malformed array at character ${this.#at + 1}: ${what}`);
  }
}
