import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { missing } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { elfMachine, wrongMachines } from "../elf.mjs";
import { type Built, buildTwice, field, root } from "./built.ts";
import { bundledPackages, cratesOf, parseCopyright } from "./licences.ts";

const NAMES = [
  "cm4all-logname",
  "cm4all-slice",
  "cm4all-spawn",
  "cm4all-spawn-doc",
  "cm4all-spawn-netns",
  "libnss-cm4all-logname",
];

/** The commands, each with the section of its manual page. */
const COMMANDS = {
  "usr/sbin/cm4all-spawn": 8,
  "usr/bin/cm4all-spawn-client": 1,
  "usr/sbin/cm4all-spawn-netns": 8,
  "usr/sbin/cm4all-slice": 8,
  "usr/sbin/cm4all-logname": 8,
};

/** The last version of the original packages, which ours replace. */
const ORIGINAL = "0.27";

describe.skipIf(missing("debhelper", "lintian"))("the Debian packages", () => {
  let built: Built;

  beforeAll(() => {
    built = buildTwice();
  }, 600_000);

  afterAll(() => built?.remove());

  const path = (name: string) => {
    const found = built.first.get(name);
    if (found === undefined) throw new Error(`no package ${name}`);
    return found;
  };
  const version = () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    return String(version);
  };

  test("are all built, and no others", () => {
    expect([...built.first.keys()].sort()).toEqual(NAMES);
  });

  test("have the same bytes when built elsewhere", () => {
    for (const [name, file] of built.first)
      expect(readFileSync(file).equals(readFileSync(built.second.get(name) ?? "")), name).toBe(
        true,
      );
  });

  test("have ELF files only of their own architecture", () => {
    for (const file of built.first.values()) expect(wrongMachines(file)).toEqual([]);
    expect(elfMachine(readFileSync(path("cm4all-spawn")))).toBeUndefined();
    expect(elfMachine(readFileSync(process.execPath))).toBe(process.arch === "x64" ? 62 : 183);
  });

  test("pass lintian without a message", () => {
    const args = ["--allow-root", "--fail-on", "error,warning", ...built.first.values()];
    const { stdout, status } = spawnSync("lintian", args, { encoding: "utf8" });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  }, 120_000);

  test("have the suite's version, which is above that of the original packages", () => {
    for (const file of built.first.values()) expect(field(file, "Version")).toBe(version());
    const compared = spawnSync("dpkg", ["--compare-versions", version(), "gt", ORIGINAL]);
    expect(compared.status).toBe(0);
    // These files name the same version of the original packages.
    for (const text of ["debian/changelog", "docs/differences.md"])
      expect(readFileSync(join(root, text), "utf8")).toContain(ORIGINAL);
  });

  test("replace the original packages", () => {
    const file = path("cm4all-spawn");
    const provided = ["accessory", "reaper"].map((name) => `cm4all-spawn-${name} (= ${version()})`);
    expect(field(file, "Provides")).toBe(provided.join(", "));
    expect(field(file, "Conflicts")).toBe("cm4all-spawn-accessory, cm4all-spawn-reaper");
    expect(field(file, "Replaces")).toBe("cm4all-spawn-accessory, cm4all-spawn-reaper");
    for (const needed of ["nodejs (>= 20.19)", "catatonit", "cm4all-slice (>= 0.2)"])
      expect(field(file, "Depends").split(", ")).toContain(needed);
  });

  test("contain the NSS module in a package that does not depend on Node", () => {
    expect(field(path("libnss-cm4all-logname"), "Depends")).toMatch(/^libc6 \(>= [\d.]+\)$/);
    expect(field(path("libnss-cm4all-logname"), "Multi-Arch")).toBe("same");
  });

  test("have spawn.toml as their only conffile, and no script in /etc", () => {
    const etc = (name: string) =>
      execFileSync("dpkg-deb", ["-c", path(name)], { encoding: "utf8" })
        .split("\n")
        .map((line) => line.split(" ").at(-1) ?? "")
        .filter((file) => file.startsWith("./etc/") && !file.endsWith("/"));
    expect(etc("cm4all-spawn")).toEqual(["./etc/cm4all/spawn/spawn.toml"]);
    for (const name of NAMES.filter((name) => name !== "cm4all-spawn"))
      expect(etc(name)).toEqual([]);
  });

  test("have commands that run, each with a manual page and completion", () => {
    for (const [command, section] of Object.entries(COMMANDS)) {
      const file = join(built.tree, command);
      expect(lstatSync(file).isSymbolicLink(), command).toBe(true);
      expect(readFileSync(file, "latin1")).toMatch(
        command === "usr/sbin/cm4all-spawn"
          ? /^#!\/usr\/bin\/env -S \/usr\/bin\/node --inspect-port=192\.0\.2\.1:9229 --single-threaded-gc\n"use strict";process\.on\("SIGUSR1", /
          : /^#!(\/bin\/bash -p\n':'.*\n':' \/\/; exec )?\/usr\/bin\/node --inspect-port=192\.0\.2\.1:9229( "\$0" "\$@")?\n"use strict";process\.on\("SIGUSR1", /,
      );
      expect(statSync(file).mode & 0o777).toBe(0o755);
      const run = spawnSync(process.execPath, [file, "--version"], { encoding: "utf8" });
      expect(run.stdout).toBe(`${version()}\n`);
      const name = command.split("/").at(-1) ?? "";
      expect(existsSync(`${built.tree}/usr/share/man/man${section}/${name}.${section}.gz`)).toBe(
        true,
      );
      expect(existsSync(`${built.tree}/usr/share/bash-completion/completions/${name}`)).toBe(true);
    }
  });

  test("complete commands and options", () => {
    const complete = (...words: string[]) => {
      const [name] = words;
      const script = `
        source ${built.tree}/usr/share/bash-completion/completions/${name}
        COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
        COMP_CWORD=${words.length - 1}
        $(complete -p ${name} | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout, stderr } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
      expect(stderr).toBe("");
      return stdout.trim().split("\n");
    };
    expect(complete("cm4all-spawn", "pur")).toEqual(["purge-namespaces"]);
    expect(complete("cm4all-spawn", "purge-namespaces", "--i")).toEqual(["--idle"]);
    expect(complete("cm4all-spawn", "accounting", "re")).toEqual(["retry"]);
    expect(complete("cm4all-spawn", "accounting", "retry", "--a")).toEqual(["--all"]);
    expect(complete("cm4all-spawn-client", "run", "--uid")).toEqual(["--uid-map"]);
    expect(complete("cm4all-spawn-client", "run", "foo", "--", "--")).toEqual([""]);
  });

  test("install the pages as HTML, with links only to installed pages", () => {
    const directory = "usr/share/doc/cm4all-spawn/html";
    const pages = readdirSync(join(built.tree, directory));
    const manuals = readdirSync(join(root, "docs/man"));
    const texts = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => `docs-${name.replace(/\.md$/, "").replaceAll("/", "-")}`);
    for (const name of ["index", "README", ...texts, ...manuals])
      expect(pages).toContain(`${name}.html`);
    for (const page of pages) {
      const text = readFileSync(join(built.tree, directory, page), "utf8");
      for (const [, target = ""] of text.matchAll(/href="([^":#]+)(?:#[^"]*)?"/g))
        expect(pages, page).toContain(target);
    }
  });

  test("install the Markdown files, with links to installed files", () => {
    const directory = join(built.tree, "usr/share/doc/cm4all-spawn");
    const texts = readdirSync(directory, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(directory, name));
    expect(texts).toEqual(
      expect.arrayContaining([join(directory, "README.md"), join(directory, "examples/README.md")]),
    );
    // Targets that are not among the installed files: URLs; manual pages, which are read with
    // man(1); CHANGELOG.md, which is installed only as HTML, because debhelper would install the
    // file itself as the package's changelog; and the repository's packages/.
    const elsewhere = /^[a-z]+:|^(?:\.\.\/)?(?:docs\/man|packages)\/|^CHANGELOG\.md$/;
    for (const text of texts)
      for (const [, target = ""] of readFileSync(text, "utf8").matchAll(/\]\(([^)#\s]+)/g))
        if (!elsewhere.test(target))
          expect(existsSync(resolve(dirname(text), target)), `${text}: ${target}`).toBe(true);
  });

  test("install the JSON Schemas that the build has made", () => {
    const made = join(root, "packages/spawn/dist/schema");
    const installed = join(built.tree, "usr/share/cm4all/spawn/schema");
    const files = readdirSync(made);
    expect(readdirSync(installed).sort()).toEqual(files.sort());
    for (const file of files)
      expect(readFileSync(join(installed, file), "utf8"), file).toBe(
        readFileSync(join(made, file), "utf8"),
      );
  });

  test("have all units, and aliases for units of the original packages", () => {
    const directory = "usr/lib/systemd/system";
    // debhelper of Debian 12 installs units below /lib.
    const old = join(built.tree, "lib/systemd/system");
    const all = [old, join(built.tree, directory)].filter((path) => existsSync(path));
    const units = new Map(all.flatMap((path) => readdirSync(path).map((u) => [u, path])));
    expect([...units.keys()].sort()).toEqual([
      "cm4all-spawn-accessory.service",
      "cm4all-spawn-accessory.socket",
      "cm4all-spawn-accounting.socket",
      "cm4all-spawn-accounting@.service",
      "cm4all-spawn-accounting@.service.d",
      "cm4all-spawn-netns@.service",
      "cm4all-spawn-reaper.service",
      "cm4all-spawn.service",
      "cm4all-spawn.socket",
      "system-cm4all.slice",
    ]);
    expect(readlinkSync(join(built.tree, directory, "cm4all-spawn-accessory.service"))).toBe(
      "cm4all-spawn.service",
    );
    // An administrator's drop-ins for the original reaper apply to the accounting script's unit.
    expect(readlinkSync(join(built.tree, directory, "cm4all-spawn-accounting@.service.d"))).toBe(
      "/etc/systemd/system/cm4all-spawn-reaper.service.d",
    );
  });

  test("make the journal's directory", () => {
    const file = join(built.tree, "usr/lib/tmpfiles.d/cm4all-spawn.conf");
    expect(readFileSync(file, "utf8")).toBe(
      readFileSync(join(root, "debian/cm4all-spawn.tmpfiles"), "utf8"),
    );
    const control = execFileSync("dpkg-deb", ["-I", path("cm4all-spawn"), "postinst"], {
      encoding: "utf8",
    });
    // The directory is made before the service is started, because the service could not make it.
    expect(control.indexOf("systemd-tmpfiles")).toBeGreaterThan(0);
    expect(control.indexOf("systemd-tmpfiles")).toBeLessThan(
      control.indexOf("deb-systemd-invoke $_dh_action"),
    );
  });

  // The exposure that systemd 252 and 257 compute; later releases may check more settings.
  test.each([
    ["cm4all-spawn.service", 3.9],
    ["cm4all-spawn-accounting@.service", 1.2],
  ])("have a sandbox around %s", (unit, exposure) => {
    const file = join(root, "systemd", unit);
    const threshold = `--threshold=${exposure * 10}`;
    const args = ["security", "--offline=yes", threshold, "--no-pager", file];
    const { status, stdout } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
    expect(status, stdout).toBe(0);
  });

  // README says this about Debian 12.
  test("have units of which an older systemd ignores three lines, and 254 or newer none", () => {
    const units = readdirSync(join(root, "systemd")).map((name) => join(root, "systemd", name));
    const analyze = (...args: string[]) =>
      spawnSync("systemd-analyze", args, {
        encoding: "utf8",
        env: { ...process.env, LC_ALL: "C" },
      });
    const version = Number(/^systemd (\d+)/.exec(analyze("--version").stdout)?.[1]);
    const { stderr } = analyze("verify", "--man=no", "--recursive-errors=no", ...units);
    // Messages about programs that are not installed here do not count.
    const ignored = stderr.split("\n").filter((line) => / ignoring/i.test(line));
    const keys = ignored.map((line) => /'(\w+)'/.exec(line)?.[1] ?? line);
    const newer = ["FileDescriptorStorePreserve", "RestartMaxDelaySec", "RestartSteps"];
    expect(keys.sort()).toEqual(version < 254 ? newer : []);
  });

  test("name the licence of everything in the bundles and in the addons", () => {
    const text = readFileSync(join(root, "debian/copyright"), "utf8");
    const stated = parseCopyright(text);
    const files = readdirSync(join(built.tree, "usr/lib/cm4all"), {
      recursive: true,
      encoding: "utf8",
    });
    const installed = files.filter((path) => path.endsWith(".js")).map((path) => basename(path));
    const bundled = bundledPackages(built.source, new Set(installed));
    // @yuuang has the addon of ffi-rs, which is in no bundle; its crates are checked below.
    stated.delete("@yuuang");
    expect(Object.fromEntries(stated)).toEqual(Object.fromEntries(bundled));
    const addons = readdirSync(join(built.tree, "usr/lib/cm4all/spawn")).filter((name) =>
      name.endsWith(".node"),
    );
    const [ffi = "", ...ours] = addons.sort();
    expect(ours).toEqual([`syscall.linux-${process.arch}.node`]);
    for (const crate of cratesOf(readFileSync(join(built.tree, "usr/lib/cm4all/spawn", ffi))))
      expect(text).toMatch(new RegExp(`\\b${crate}\\b`));
  });
});
