/**
 * Arrays in PostgreSQL's text form. Pure, except for what the callback `taken` does.
 * @see PostgreSQL manual, "Array Input and Output Syntax"
 */

/** An unquoted NULL in an array. */
export const NULL = Symbol("NULL");

export type ArrayElement = string | typeof NULL | ArrayElement[];

export class ArrayError extends Error {
  override name = "ArrayError";
}

/** Returns an array in text form. @param elements quoted elements, or inner arrays in text form */
export function joinElements(elements: readonly string[]): string {
  return `{${elements.join(",")}}`;
}

/** Returns a string as an element of an array, in quotes. */
export function quoteElement(text: string): string {
  if (!SPECIAL.test(text)) return `"${text}"`;
  let quoted = "";
  // In blocks: V8 keeps all matches until the replacement ends, and there may be millions.
  for (let start = 0; start < text.length; start += BLOCK)
    quoted += text.slice(start, start + BLOCK).replace(/["\\]/g, "\\$&");
  return `"${quoted}"`;
}

const SPECIAL = /["\\]/;
const BLOCK = 65_536;

/**
 * Parses an array.
 * @param taken called before an element is kept, with its length; if the element has escaped
 * characters, called with the length of each part between them; may throw to end the parsing
 * @throws ArrayError with the position of the mistake
 */
export function decodeArray(text: string, taken = (_length: number) => {}): ArrayElement[] {
  if (text === "") return [];
  // If indices do not begin with 1, the bounds come before the elements: [0:1]={a,b}
  const bounds = /^(?:\[[+-]?\d+:[+-]?\d+\])+=/.exec(text)?.[0] ?? "";
  const parser = new Parser(text, bounds.length, taken);
  const elements = parser.array(1);
  parser.end();
  return elements;
}

class Parser {
  readonly #text: string;
  readonly #taken: (length: number) => void;
  #at: number;

  constructor(text: string, at: number, taken: (length: number) => void) {
    this.#text = text;
    this.#at = at;
    this.#taken = taken;
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
    let element = "";
    let start = this.#at + 1;
    let end = this.#find(/["\\]/g, start);
    while (end !== undefined && this.#text[end] === "\\") {
      element += this.#take(start, end);
      start = end + 1;
      end = this.#find(/["\\]/g, end + 2);
    }
    if (end === undefined) return this.#fail('missing " at the end of an element');
    this.#at = end + 1;
    if (!/[,}]/.test(this.#text[this.#at] ?? "")) this.#fail('expected "," or "}"');
    return element + this.#take(start, end);
  }

  /** Reads an element up to the next comma, or to the closing brace. */
  #unquoted(depth: number): string | typeof NULL {
    // There may be millions of elements: the search for the end of each must not go beyond it.
    const end = this.#find(depth > 1 ? /[,}]/g : /,/g, this.#at) ?? this.#find(/}/g, this.#at);
    if (end === undefined) return this.#fail('missing "}"');
    const element = this.#take(this.#at, end);
    this.#at = end;
    return element === "NULL" ? NULL : element;
  }

  #take(start: number, end: number): string {
    this.#taken(end - start);
    return this.#text.slice(start, end);
  }

  /** Returns the position of the first match of a global pattern from `start` on. */
  #find(pattern: RegExp, start: number): number | undefined {
    pattern.lastIndex = start;
    return pattern.exec(this.#text)?.index;
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
