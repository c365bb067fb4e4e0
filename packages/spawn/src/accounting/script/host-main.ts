/** The entry point of the script host, which is a separate program; script.ts has its file name. */
import { runHost } from "@cm4all/lua/host";

runHost();
