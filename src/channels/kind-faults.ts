import { ChannelName } from "./channel-name.ts";
import { envelopeVariables, isQuoted, unknownVariables } from "./envelope.ts";
import type { KindSettings } from "./kind.ts";
import { expressionFault, PathTemplate } from "./path.ts";

/** A fault in the settings of a kind. */
export interface KindFault {
  /** The key, with dots for tables inside. */
  readonly key: string;
  readonly found: unknown;
  readonly allowed: string;
}

/** All faults of settings whose types are right. */
export function kindFaults(settings: KindSettings): KindFault[] {
  const template = new PathTemplate(settings.path);
  const values = new Set(template.valueNames);
  const list = `the values of the path (${[...values].join(", ") || "it has none"})`;
  return [
    ...pathFaults(settings, template),
    ...nameFaults(settings, values, list),
    ...valueFaults(settings, values, list),
    ...envelopeFaults(settings),
  ];
}

function pathFaults({ path }: KindSettings, { badSegment, valueNames }: PathTemplate): KindFault[] {
  const faults: KindFault[] = [];
  if (badSegment !== undefined) {
    faults.push({ key: "path", found: path, allowed: "segments between slashes, each plain text as in a path, or one {value}" });
  }
  if (new Set(valueNames).size < valueNames.length) faults.push({ key: "path", found: path, allowed: "each {value} once" });
  return faults;
}

function nameFaults(settings: KindSettings, values: ReadonlySet<string>, list: string): KindFault[] {
  const { name = "" } = settings;
  const strangers = new ChannelName(name).values.filter((value) => !values.has(value));
  const faults: KindFault[] = strangers.map((value) => ({ key: "name", found: `{${value}}`, allowed: list }));
  if (/\p{Cc}/u.test(name)) faults.push({ key: "name", found: name, allowed: "a text without control characters" });
  if (ChannelName.of(settings).isAmbiguous) {
    const allowed = "between two values a text with a character that percent-encoding does not use (not %, 0-9 or A-F)";
    faults.push({ key: "name", found: settings.name, allowed });
  }
  return faults;
}

function valueFaults(settings: KindSettings, values: ReadonlySet<string>, list: string): KindFault[] {
  const faults: KindFault[] = [];
  for (const [value, source] of Object.entries(settings.params ?? {})) {
    const allowed = values.has(value) ? expressionFault(source) : list;
    if (allowed !== undefined) faults.push({ key: `params.${value}`, found: source, allowed });
  }
  const { owner } = settings;
  if (owner === undefined) return faults;
  if (!values.has(owner)) faults.push({ key: "owner", found: owner, allowed: list });
  // Otherwise everybody owns some path to the same channel.
  else if (!ChannelName.of(settings).values.includes(owner)) {
    faults.push({ key: "owner", found: owner, allowed: "a value that is in the channel's name" });
  }
  return faults;
}

function envelopeFaults({ envelope = "" }: KindSettings): KindFault[] {
  const faults = unknownVariables(envelope).map((found): KindFault => ({ key: "envelope", found, allowed: envelopeVariables.join(", ") }));
  if (isQuoted(envelope)) faults.push({ key: "envelope", found: envelope, allowed: "variables outside of quotes: they bring their own" });
  return faults;
}
