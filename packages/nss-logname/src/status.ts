/** Gathers the report of `status`: the files of the tree, and lookups on the running system. */
import { existsSync } from "node:fs";
import type { Tree } from "@cm4all/command/tree";
import { readConfiguration } from "./configuration.ts";
import { serviceName } from "./edit.ts";
import { explainEnvironment } from "./environment.ts";
import { explained } from "./failure.ts";
import { findLibraries, type Libraries } from "./libraries.ts";
import { lookUp } from "./lookup.ts";
import { databases } from "./nsswitch.ts";
import {
  type Answer,
  reportAnswers,
  reportConfiguration,
  reportModule,
  type Section,
} from "./report.ts";

const nscdSocket = "/var/run/nscd/socket";

/** Returns the libraries of a tree, with their paths on this system. */
export function readLibraries(tree: Tree): Libraries {
  return explained(`cannot search ${tree.root}`, () => {
    const { libcs, modules } = findLibraries(tree);
    const shown = libcs.map((libc) => ({ ...libc, directory: tree.show(libc.directory) }));
    return {
      libcs: shown,
      modules: modules.map((each) => ({ ...each, path: tree.show(each.path) })),
    };
  });
}

/** Returns the report. @throws CommandFailure */
export function readStatus(tree: Tree): Section[] {
  const module = reportModule(readLibraries(tree));
  const { path, text } = readConfiguration(tree);
  const configuration = reportConfiguration(path, text);
  const files = [module, configuration];
  // For an image, nothing is looked up, because its programs are not run, and its module is not
  // loaded.
  if (tree.root !== "/") return files;

  const answers = tryLookups();
  if (answers instanceof Error) {
    const lines = [`not asked: ${answers.message}`];
    return [...files, { title: "The module answers", isGood: true, lines }];
  }
  return [
    ...files,
    ...reportAnswers(answers, {
      hasModule: module.isGood,
      isConfigured: configuration.isGood,
      environmentProblem: explainEnvironment(process.env),
      hasNscd: existsSync(nscdSocket),
    }),
  ];
}

/** Looks up the current uid and gid; returns the error if that is not possible. */
function tryLookups(): Answer[] | Error {
  const ids = { passwd: process.geteuid?.() ?? 0, group: process.getegid?.() ?? 0 };
  try {
    return databases.map((database) => ({
      database,
      id: ids[database],
      module: lookUp(database, ids[database], serviceName),
      programs: lookUp(database, ids[database]),
    }));
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}
