// local-codes: puts a standard code beside each local one, in what is written and in what is read.
//
// Settings:
//   map      the name of a map under [plugins.<name>.grants.terminology.maps]
//   system   the system of the local codes: "http://hospital.example/lab"
//   missing  "keep" or "refuse": what becomes of a written resource with a local code that the map does not have.
//            Default "keep".

import * as fireguard from "./fireguard.js";
import { write as log } from "fireguard:plugin/log@0.1.0";
import { translate } from "fireguard:plugin/terminology@0.1.0";

const TYPES = ["Condition", "DiagnosticReport", "Observation", "Procedure", "ServiceRequest"];
// What may stand beside the local code as its equal. A wider or narrower code would say something else.
const EQUIVALENT = ["equal", "equivalent"];

let settings;

export const setup = {
  configure(text, files) {
    settings = fireguard.readSettings(text, ["map", "system", "missing"]);
    const problems = ["map", "system"]
      .filter((name) => typeof settings[name] !== "string" || settings[name] === "")
      .map((name) => fireguard.problem("a text is needed", fireguard.pointer(name)));
    if (!["keep", "refuse", undefined].includes(settings.missing)) {
      problems.push(fireguard.problem('"keep" or "refuse"', "/missing"));
    }
    if (problems.length > 0) throw problems;
    const wish = { types: TYPES, directions: ["to-server", "to-client"] };
    return fireguard.plan([fireguard.wants("resources", wish)], ["terminology"]);
  },
};

export const resources = {
  process(exchange, direction, items) {
    const read = items.map((item) => fireguard.read(item.content));
    const local = (coding) => coding.system === settings.system && typeof coding.code === "string";
    const codes = [...new Set(read.flatMap(concepts).flatMap((it) => it.coding).filter(local).map((it) => it.code))];
    // One question for the whole batch.
    const answers = translate(settings.map, codes.map((code) => ({ system: settings.system, code })));
    const standard = new Map(codes.map((code, at) => [code, answers[at].filter(fits)]));
    const unknown = codes.filter((code) => standard.get(code).length === 0).length;
    if (unknown > 0) log("warn", `${unknown} local codes are not in the map`);
    return read.map((resource) => judge(resource, direction, local, standard));
  },
};

function judge(resource, direction, local, standard) {
  let changed = false;
  let missing = false;
  for (const concept of concepts(resource)) {
    const has = (match) => concept.coding.some((it) => it.system === match.system && it.code === match.code);
    for (const coding of concept.coding.filter(local)) {
      const matches = standard.get(coding.code);
      missing ||= matches.length === 0;
      for (const { system, code, display } of matches.filter((match) => !has(match))) {
        concept.coding.push({ system, code, ...(display === undefined ? {} : { display }) });
        changed = true;
      }
    }
  }
  if (missing && direction === "to-server" && settings.missing === "refuse") {
    return fireguard.refuse("code-invalid", "a local code has no standard code in the map of this server");
  }
  return changed ? fireguard.replace(resource) : fireguard.keep();
}

// The codes of the resource, and those of an Observation's components.
function concepts(resource) {
  const parts = [resource, ...(resource.component ?? [])];
  return parts.map((part) => part.code).filter((code) => Array.isArray(code?.coding));
}

const fits = (match) => EQUIVALENT.includes(match.equivalence);
