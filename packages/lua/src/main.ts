/** The script host as a program of its own, for tests; the daemon's bundle includes the host. */
import { runHost } from "./host.ts";

runHost();
