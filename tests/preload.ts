import { findRedis } from "./support/redis.ts";

// A missing Redis fails the run, before any test has passed.
findRedis();
