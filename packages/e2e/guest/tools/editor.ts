/** Stands in for a reader who edits files as the comments of a snippet say. */
import { rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import type { Snippet } from "@cm4all/testing/snippets";

/** The path of the editor: systemctl(1) and people who type `editor` find it there. */
const EDITOR = "/usr/local/bin/editor";

/** The beginning of a line in the file that `systemctl edit` opens; a drop-in goes below it. */
const DROP_IN = "### Anything between here";

/**
 * Installs an editor that adds lines as the comments beside the snippet's commands say, for example
 * `editor FILE  # in [SECTION]: LINE`. The editor ends with status 1 for a file that no comment
 * mentions. The caller removes it with `removeEditor`.
 */
export function installEditor({ text }: Snippet): void {
  const said = [...text.matchAll(/^.* (\S+) +# in \[(\w+)\]: (.*)$/gm)];
  const cases = said.map(
    ([, path = "", section, line]) => `*${basename(path)}*)
  sed -i -e 's|^${DROP_IN}.*|&\\n[${section}]\\n${line}|' -e 's|^\\[${section}\\]$|&\\n${line}|' "$file" ;;`,
  );
  // The file is the last argument; systemctl(1) may pass the number of a line before it.
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
