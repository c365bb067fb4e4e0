/** The entry point of the script host, a program of its own; script.ts has its name. */
import { runHost } from "@cm4all/lua/host";

runHost();
