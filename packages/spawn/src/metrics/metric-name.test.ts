import { expect, it } from "vitest";
import { metricName } from "./metric-name.ts";

it.each([
  ["namespace", "names", "gauge", "cm4all_spawn_namespace_names"],
  ["namespace", "initDeaths", "counter", "cm4all_spawn_namespace_init_deaths_total"],
  ["accounting", "handlerSeconds", "counter", "cm4all_spawn_accounting_handler_seconds_total"],
  ["reaper", "turnSeconds", "histogram", "cm4all_spawn_reaper_turn_seconds"],
  ["accounting", "script", "state", "cm4all_spawn_accounting_script"],
] as const)("metricName(%j, %j, %j)", (part, key, kind, name) => {
  expect(metricName(part, key, kind)).toBe(name);
});
