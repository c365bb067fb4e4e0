// @ts-check
/**
 * Makes the mutants of a source file: each is a small change that somebody could make by mistake,
 * and that a test should notice. Types, imports, and messages for people (strings with a space)
 * are left alone.
 */
import { childrenOf, lineOf, parse } from "../syntax.mjs";

/**
 * A change of a file: the offsets, and the replacement for the text between them.
 * @typedef {{ readonly start: number, readonly end: number, readonly replacement: string, readonly line: number }} Mutant
 * @typedef {import("../syntax.mjs").Node} Node
 */

/** @type {Readonly<Record<string, readonly string[]>>} */
const OTHER_OPERATORS = {
  "+": ["-"],
  "-": ["+"],
  "*": ["/"],
  "/": ["*"],
  "%": ["*"],
  "<<": [">>"],
  ">>": ["<<"],
  ">>>": ["<<"],
  "&": ["|"],
  "|": ["&"],
  "^": ["&"],
  "<": ["<=", ">="],
  "<=": ["<", ">"],
  ">": [">=", "<="],
  ">=": [">", "<"],
  "===": ["!=="],
  "!==": ["==="],
  "&&": ["||"],
  "||": ["&&"],
  "??": ["&&"],
  "+=": ["-="],
  "-=": ["+="],
  "|=": ["&="],
  "&=": ["|="],
  "??=": ["="],
  "++": ["--"],
  "--": ["++"],
};

/** @type {Readonly<Record<string, string>>} */
const OPPOSITES = { "<": ">=", "<=": ">", ">": "<=", ">=": "<", "===": "!==", "!==": "===" };

/** Built-in methods, each with a different one that takes the same arguments. */
const OTHER_METHODS = new Map(
  Object.entries({
    min: "max",
    max: "min",
    some: "every",
    every: "some",
    startsWith: "endsWith",
    endsWith: "startsWith",
    indexOf: "lastIndexOf",
    floor: "ceil",
    ceil: "floor",
    push: "unshift",
    shift: "pop",
    pop: "shift",
  }),
);

/** Nodes that only the compiler reads, or that are not worth changing. */
const LEFT_ALONE =
  /^(TS(?!AsExpression|SatisfiesExpression|NonNullExpression|EnumDeclaration)|Import|ExportAll)/;

/**
 * Returns the mutants of a file, in the order of their positions.
 * @param {string} file its name, for messages @param {string} text
 * @returns {Mutant[]}
 */
export function mutantsOf(file, text) {
  const { program, comments } = parse(file, text);
  const code = withoutComments(text, comments);
  /** @type {Map<string, Mutant>} */
  const mutants = new Map();
  /** @param {{ start: number, end: number }} range @param {string} replacement */
  const add = ({ start, end }, replacement) => {
    if (text.slice(start, end) === replacement) return;
    const line = lineOf(text, start);
    mutants.set(`${start} ${end} ${replacement}`, { start, end, replacement, line });
  };
  /** @param {Node} node @param {boolean} [isCondition] */
  const visit = (node, isCondition = false) => {
    if (LEFT_ALONE.test(node.type)) return;
    change(node, code, isCondition, add);
    for (const [key, child] of childrenOf(node))
      if (!isName(node, key)) visit(child, key === "test" && !/Loop|For|While/.test(node.type));
  };
  visit(program);
  return [...mutants.values()].sort((a, b) => a.start - b.start || a.end - b.end);
}

/**
 * Returns the text with spaces in place of comments, for finding operators.
 * @param {string} text @param {readonly import("../syntax.mjs").Comment[]} comments
 */
function withoutComments(text, comments) {
  let code = text;
  for (const { start, end } of comments)
    code = code.slice(0, start) + " ".repeat(end - start) + code.slice(end);
  return code;
}

/**
 * Returns whether a child is only a name, such as that of a property or a type.
 * @param {Node} parent
 * @param {string} key
 */
function isName(parent, key) {
  return (
    key.startsWith("type") ||
    (key === "key" && !parent["computed"]) ||
    key === "source" ||
    key === "label"
  );
}

/**
 * @param {Node} node @param {string} text
 * @param {boolean} isCondition true for a condition, which is replaced by true and by false: the
 *   opposite comparison would reveal nothing more
 * @param {(range: { start: number, end: number }, replacement: string) => void} add
 */
function change(node, text, isCondition, add) {
  switch (node.type) {
    case "BinaryExpression":
    case "LogicalExpression":
    case "AssignmentExpression":
      changeOperator(node, text, isCondition, add);
      break;
    case "UpdateExpression":
      add(
        node,
        text
          .slice(node.start, node.end)
          .replace(/\+\+|--/, (sign) => (sign === "++" ? "--" : "++")),
      );
      break;
    case "UnaryExpression":
      if (/^[-!~]$/.test(node["operator"]))
        add(node, text.slice(node["argument"].start, node["argument"].end));
      break;
    case "IfStatement":
    case "ConditionalExpression":
      add(node["test"], "true");
      add(node["test"], "false");
      break;
    case "WhileStatement":
    case "ForStatement":
      if (node["test"] !== null) add(node["test"], "false");
      break;
    case "Literal":
      changeLiteral(node, add);
      break;
    case "TemplateLiteral":
      if (!/\s/.test(text.slice(node.start, node.end).replaceAll(/\$\{[^}]*\}/g, "")))
        add(node, '""');
      break;
    case "ArrayExpression":
      if (node["elements"].length > 0) add(node, "[]");
      break;
    case "ExpressionStatement":
    case "ThrowStatement":
    case "ContinueStatement":
    case "BreakStatement":
      if (typeof node["directive"] !== "string") add(node, ";");
      break;
    case "ReturnStatement":
      // A return without a value has the same effect as `return undefined`, and mostly the same
      // as `return false`.
      if (node["argument"] === null) add(node, ";");
      else if (
        !/^(false|undefined)$/.test(text.slice(node["argument"].start, node["argument"].end))
      )
        add(node, "return;");
      break;
    case "ArrowFunctionExpression":
      if (node["body"].type !== "BlockStatement") add(arrowBody(node, text), "undefined");
      break;
    case "CallExpression":
      changeMethod(node["callee"], add);
  }
}

/**
 * @param {Node} node @param {string} text @param {boolean} isCondition
 * @param {(range: { start: number, end: number }, replacement: string) => void} add
 */
function changeOperator({ left, right, operator }, text, isCondition, add) {
  const start = text.indexOf(operator, left.end);
  if (start < 0 || start > right.start) return;
  for (const other of OTHER_OPERATORS[operator] ?? [])
    if (!isCondition || OPPOSITES[operator] !== other)
      add({ start, end: start + operator.length }, other);
}

/**
 * @param {Node} node
 * @param {(range: { start: number, end: number }, replacement: string) => void} add
 */
function changeLiteral(node, add) {
  const { value, bigint } = node;
  if (typeof bigint === "string") add(node, `${BigInt(bigint) + 1n}n`);
  else if (typeof value === "number") add(node, `${value + 1}`);
  else if (typeof value === "boolean") add(node, `${!value}`);
  else if (typeof value === "string" && !/\s\S|\S\s/.test(value))
    add(node, value === "" ? '"other"' : '""');
}

/**
 * Returns the range of a function's body, with the parentheses around an object literal.
 * @param {Node} node
 * @param {string} text
 */
function arrowBody({ body, end }, text) {
  const before = text.slice(0, body.start).trimEnd();
  return before.endsWith("(") ? { start: before.length - 1, end } : body;
}

/**
 * @param {Node} callee
 * @param {(range: { start: number, end: number }, replacement: string) => void} add
 */
function changeMethod(callee, add) {
  if (callee.type !== "MemberExpression" || callee["computed"]) return;
  const other = OTHER_METHODS.get(callee["property"].name);
  if (other !== undefined) add(callee["property"], other);
}
