/** Finds the contents of the bundles, and what debian/copyright says about them. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/**
 * Returns the packages that esbuild has put into the bundles of a built tree, with the licence in
 * the package.json of each.
 * @param bundles the names of the installed bundles; the tree also has others
 */
export function bundledPackages(tree: string, bundles: ReadonlySet<string>): Map<string, string> {
  const found = new Map<string, string>();
  for (const component of readdirSync(join(tree, "packages"))) {
    const directory = join(tree, "packages", component);
    for (const file of inputLists(join(directory, "dist"), bundles)) {
      const inputs: unknown = JSON.parse(readFileSync(file, "utf8"));
      if (!Array.isArray(inputs)) throw new Error(`${file} holds no list`);
      for (const input of inputs) {
        const [path, name] = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(String(input)) ?? [];
        if (path === undefined || name === undefined) continue;
        const manifest = readFileSync(join(resolve(directory, path), "package.json"), "utf8");
        found.set(name, String(JSON.parse(manifest).license));
      }
    }
  }
  return found;
}

function inputLists(dist: string, bundles: ReadonlySet<string>): string[] {
  try {
    const names = readdirSync(dist).filter((name) => bundles.has(name));
    return names.map((name) => join(dist, `${name}.inputs.json`));
  } catch {
    // This directory in packages/ has no bundles.
    return [];
  }
}

/** Returns the Rust crates that are named in the panic messages of an addon. Pure. */
export function cratesOf(addon: Buffer): string[] {
  const found = addon.toString("latin1").matchAll(/registry\/src\/[^/]+\/([\w-]+?)-\d+\.\d+/g);
  return [...new Set([...found].map(([, name]) => name ?? ""))];
}

/**
 * Returns the short name of the licence for each `node_modules/NAME/*` in a copyright file. Pure.
 */
export function parseCopyright(text: string): Map<string, string> {
  const licences = new Map<string, string>();
  for (const paragraph of text.split(/\n\n+/)) {
    const licence = /^License: (.*)$/m.exec(paragraph)?.[1];
    const files = /^Files:((?: .*\n)+)/m.exec(paragraph)?.[1];
    if (licence === undefined || files === undefined) continue;
    for (const [, name] of files.matchAll(/node_modules\/(\S+)\/\*/g))
      licences.set(name ?? "", licence);
  }
  return licences;
}
