// @ts-check
/**
 * `documentation.mjs DIRECTORY`: makes the pages of cm4all-spawn-doc from Markdown files of
 * the repository and from the manual pages. Debian's cmark-gfm and mandoc make the HTML.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const TEXTS = [
  "README.md",
  "CHANGELOG.md",
  "SECURITY.md",
  "docs/differences.md",
  "docs/lua.md",
  "docs/netns.md",
  "docs/architecture.md",
  "docs/design.md",
  "docs/performance.md",
  "docs/fleet.md",
  "docs/platforms.md",
  "docs/promises.md",
  ...readdirSync(join(root, "docs/decisions")).map((name) => `docs/decisions/${name}`),
  "examples/README.md",
  "packages/client/README.md",
];

const STYLE =
  "body{max-width:50em;margin:2em auto;padding:0 1em;font-family:sans-serif}" +
  "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2em .5em;vertical-align:top}" +
  "pre{background:#f4f4f4;padding:.5em;overflow:auto}";

/** @param {string} program @param {string[]} args @param {string} input */
function filter(program, args, input) {
  const { stdout, stderr, status, error } = spawnSync(program, args, { input, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program}: ${error?.message ?? stderr}`);
  return stdout;
}

/** Returns the file name of the page for a Markdown file. @param {string} path below the root */
function pageOf(path) {
  return `${path.replace(/\.md$/, "").replaceAll("/", "-")}.html`;
}

/** Does the same for a Markdown file or a manual page. @param {string} path */
function page(path) {
  return path.startsWith("docs/man/") ? `${basename(path)}.html` : pageOf(path);
}

/** @param {string} title @param {string} body */
function html(title, body) {
  return `<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<style>${STYLE}</style></head><body>\n${body}</body></html>\n`;
}

/** Adds the headings' ids, as GitHub makes them, for links to sections. @param {string} body */
function withIds(body) {
  return body.replace(/<h(\d)>(.*?)<\/h\1>/gs, (_, level, text) => {
    const plain = text.replace(/<[^>]*>/g, "").replace(/&\w+;/g, "");
    const id = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-");
    return `<h${level} id="${id}">${text}</h${level}>`;
  });
}

/**
 * Turns links between the files into links between the pages. Of a link to a file without a page,
 * only the text remains.
 * @param {string} body @param {string} path path of the file, below the root
 * @param {ReadonlySet<string>} known
 */
function withLinks(body, path, known) {
  return body.replace(/<a href="([^"]*)">(.*?)<\/a>/gs, (link, target, text) => {
    if (/^(?:[a-z]+:|#)/.test(target)) return link;
    const [file = "", fragment] = target.split("#");
    const found = relative(root, resolve(root, dirname(path), file));
    if (!known.has(found)) return text;
    return `<a href="${page(found)}${fragment === undefined ? "" : `#${fragment}`}">${text}</a>`;
  });
}

/**
 * Embeds the pictures, so that a page is a single file.
 * @param {string} body
 * @param {string} path
 */
function withPictures(body, path) {
  return body.replace(/<img src="([^"]*\.svg)"/g, (_, target) => {
    const picture = readFileSync(resolve(root, dirname(path), target)).toString("base64");
    return `<img style="width:100%" src="data:image/svg+xml;base64,${picture}"`;
  });
}

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error("usage: documentation.mjs DIRECTORY");
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
const manuals = readdirSync(join(root, "docs/man")).map((name) => `docs/man/${name}`);
const known = new Set([...TEXTS, ...manuals]);

/** @type {string[]} */
const index = [];
for (const path of TEXTS) {
  const text = readFileSync(join(root, path), "utf8");
  const body = filter("cmark-gfm", ["--extension", "table", "--extension", "autolink"], text);
  const title = /^# (.*)$/m.exec(text)?.[1] ?? path;
  const links = withLinks(withIds(body), path, known);
  writeFileSync(join(directory, page(path)), html(title, withPictures(links, path)));
  index.push(`<li><a href="${page(path)}">${title}</a></li>`);
}
for (const path of manuals) {
  const text = readFileSync(join(root, path), "utf8");
  const fragment = filter("mandoc", ["-T", "html", "-O", "fragment"], text);
  const [, name, section] = /^(.*)\.(\d)$/.exec(basename(path)) ?? [];
  const title = `${name}(${section})`;
  writeFileSync(join(directory, page(path)), html(title, fragment));
  index.push(`<li><a href="${page(path)}">${title}</a></li>`);
}
const list = `<h1>CM4all spawn suite</h1>\n<ul>\n${index.join("\n")}\n</ul>\n`;
writeFileSync(join(directory, "index.html"), html("CM4all spawn suite", list));
