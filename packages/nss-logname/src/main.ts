import { runCommand } from "@cm4all/command/run";
import { makeProgram } from "./program.ts";

void runCommand(makeProgram());
