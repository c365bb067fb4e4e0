/** Stands in for a reader who edits files as the comments of a snippet say. */
import { rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import type { Snippet } from "@cm4all/testing/snippets";

/** systemctl(1) looks for an editor of this name, and so does who types `editor`. */
const EDITOR = "/usr/local/bin/editor";

/** The line of systemctl(1) below which a drop-in begins. */
const DROP_IN = "### Anything between here";

/**
 * Installs an editor that adds a line to a section as is said beside its command: `edit FILE  #
 * in [SECTION]: LINE`. It ends with 1 if nothing is said about a file. The caller removes it with
 * `removeEditor`.
 */
export function installEditor({ text }: Snippet): void {
  const said = [...text.matchAll(/^.* (\S+) +# in \[(\w+)\]: (.*)$/gm)];
  const cases = said.map(
    ([, path = "", section, line]) => `*${basename(path)}*)
  sed -i -e 's|^${DROP_IN}.*|&\\n[${section}]\\n${line}|' -e 's|^\\[${section}\\]$|&\\n${line}|' "$file" ;;`,
  );
  // The line at which to begin may come before the file.
  const script = `#!/bin/sh
for file; do :; done
case $file in
${cases.join("\n")}
*) echo "nothing is said about $file" >&2; exit 1 ;;
esac
`;
  writeFileSync(EDITOR, script, { mode: 0o755 });
}

/** Removes the editor of installEditor. */
export function removeEditor(): void {
  rmSync(EDITOR);
}
