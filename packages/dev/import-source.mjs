// @ts-check
/**
 * Lets a build script import values from the sources. Node 20 does not run TypeScript, so the
 * sources are bundled first.
 */
import { build } from "esbuild";

/**
 * Imports a TypeScript module that loads no native addon. Call this in the package's directory.
 * @param {string} entry the module
 * @returns {Promise<{ readonly [name: string]: unknown }>} its exports
 */
export async function importSource(entry) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    write: false,
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error(`${entry}: esbuild made nothing`);
  const code = Buffer.from(file.contents).toString("base64");
  return import(`data:text/javascript;base64,${code}`);
}
