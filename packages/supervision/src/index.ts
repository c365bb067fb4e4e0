export { Backoff, doubling, type Pauses, pauseAfter } from "./backoff.ts";
export { type After, Lull } from "./lull.ts";
export {
  type Supervised,
  type SupervisionState,
  Supervisor,
} from "./supervisor.ts";
