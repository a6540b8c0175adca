import { optional } from "./channel.ts";
import { header, type Headers } from "./operation.ts";

const EXAMPLE_TAG = '"x1yZ"';

/** Headers of what a client may keep, and asks for again. */
export const cachedHeaders: Headers = {
  ETag: header("Changes with what is answered", EXAMPLE_TAG, { required: true }),
  "Cache-Control": header("It may be kept, and is asked for again each time", "no-cache", { required: true }),
};

export const ifNoneMatch = optional("header", "If-None-Match", "The `ETag` of what you have", { type: "string" }, EXAMPLE_TAG);
