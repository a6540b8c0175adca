import { afterEach } from "bun:test";
import { Server } from "./support/executable.ts";
import { findRedis } from "./support/redis.ts";

// A missing Redis fails the run, before any test has passed.
findRedis();

// What a failed test has left behind.
afterEach(() => Server.endAll());
