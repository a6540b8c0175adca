import { Problem } from "../errors.ts";

/** The frame around a client's text on a kind of channel. */
export interface Envelope {
  /**
   * @param text the client's message
   * @param sender the subject of the sender's token, or null
   * @throws Problem `malformed-text` if the envelope holds `$json` and the text is not JSON (RFC 8259)
   */
  wrap(text: string, sender: string | null): string;
}

type Part = (text: string, sender: string | null) => string;

const variables: Readonly<Record<string, Part>> = {
  // JSON.stringify escapes quotes and control characters, so a text cannot leave its quotes (CWE-116).
  data: (text) => JSON.stringify(text),
  json: (text) => {
    requireJson(text);
    return text;
  },
  sender: (_, sender) => JSON.stringify(sender),
  time: () => String(Date.now()),
};

export const envelopeVariables = Object.keys(variables).map((name) => `$${name}`);

/** The unknown variables of a template, as `$name`. */
export function unknownVariables(template: string): string[] {
  return [...template.matchAll(/\$([A-Za-z_]\w*)/g)].flatMap(([whole, name = ""]) => (Object.hasOwn(variables, name) ? [] : [whole]));
}

/** The template is JSON with a variable inside quotes, which the variable's own quotes would end. */
export function isQuoted(template: string): boolean {
  const withTexts = (text: string): string => template.replaceAll(/\$[A-Za-z_]\w*/g, text);
  return !isJson(withTexts('""')) && isJson(withTexts("x"));
}

/** Compiles a template without unknown variables. A `$` before anything but a name stands for itself. */
export function compileEnvelope(template: string): Envelope {
  const parts = template.split(/(\$[A-Za-z_]\w*)/).map((piece, index): Part => {
    const variable = index % 2 === 1 ? variables[piece.slice(1)] : undefined;
    return variable ?? (() => piece);
  });
  return {
    wrap(text, sender) {
      let wrapped = "";
      for (const part of parts) wrapped += part(text, sender);
      return wrapped;
    },
  };
}

function requireJson(text: string): void {
  if (!isJson(text)) throw new Problem("malformed-text", "This channel takes valid JSON only.");
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // A nesting too deep for the parser's stack counts too.
    return false;
  }
}
