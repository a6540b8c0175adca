import { afterEach } from "bun:test";
import { Server } from "./support/executable.ts";
import { findProgram } from "./support/programs.ts";

// A missing Redis fails the run, before any test has passed.
findProgram("redis-server");

// What a failed test has left behind.
afterEach(() => Server.endAll());
