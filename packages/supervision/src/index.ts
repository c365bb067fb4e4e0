export { Backoff, doubling, type Pauses, pauseAfter } from "./backoff.ts";
export {
  type Supervised,
  type SupervisionState,
  Supervisor,
} from "./supervisor.ts";
