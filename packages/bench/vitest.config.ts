export { default } from "@cm4all/dev/vitest";
