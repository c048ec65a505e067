// What plugins in JavaScript share: plans, verdicts, and JSON that keeps its numbers. This copy belongs to the project.

const decoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/// When the host calls a phase. Without types: for each type; without interactions: in each.
export function wants(phase, { types = [], interactions = [], directions = [] } = {}) {
  return { phase, interactions, resourceTypes: types, directions, extras: [] };
}

/// What `configure` answers. `needs`: capabilities without which the plugin cannot work.
export function plan(interests, needs = []) {
  return { interests, needs, extras: [] };
}

/// Something wrong with the settings (or with a file), at a JSON Pointer.
export function problem(message, pointer = "", file = undefined, line = 0) {
  return { file, line, column: 0, pointer, message };
}

/// The settings. A name that the plugin does not know is refused: it may be a misspelt rule.
export function readSettings(text, known) {
  const settings = JSON.parse(text);
  const strangers = Object.keys(settings).filter((name) => !known.includes(name));
  if (strangers.length > 0) {
    const told =
      known.length > 0 ? `unknown setting; there are: ${known.join(", ")}` : "this plugin has no settings";
    throw strangers.map((name) => problem(told, pointer(name)));
  }
  return settings;
}

/// A JSON Pointer (RFC 6901).
export function pointer(...names) {
  return names.map((name) => `/${String(name).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

// Verdicts of the phase `resources`.

/// The resource passes as it is.
export const keep = () => ({ tag: "keep" });

/// This passes in its place.
export const replace = (resource) => ({ tag: "replace", val: write(resource) });

/// It is left out of its Bundle; alone it is 404. What is written cannot be dropped.
export const drop = () => ({ tag: "drop" });

/// The exchange is refused (of a batch toward the server, the entry). Do not quote the resource.
export const refuse = (code, message, more) => ({ tag: "refuse", val: refusal(code, message, more) });

/// A code of http://hl7.org/fhir/issue-type and a sentence; 422 without a status.
export function refusal(code, message, { status, outcome } = {}) {
  return {
    code,
    message,
    outcome: outcome === undefined ? undefined : write(outcome),
    extras: status === undefined ? [] : [{ name: "status", value: String(status) }],
  };
}

// JSON.

/// A number whose digits `Number` would change, such as 1.50. Compute with `Number(it)`.
export class Digits {
  constructor(text) {
    this.text = text;
  }

  valueOf() {
    return Number(this.text);
  }

  toJSON() {
    return JSON.rawJSON(this.text);
  }
}

/// Reads JSON from bytes. Numbers keep their digits: 1.50 is a `Digits`, 61 a number.
export function read(content) {
  return JSON.parse(decoder.decode(content), (_, value, { source } = {}) =>
    typeof value === "number" && String(value) !== source ? new Digits(source) : value,
  );
}

/// Writes JSON: members in their order, numbers as they were read.
export function write(value) {
  return encoder.encode(JSON.stringify(value));
}
