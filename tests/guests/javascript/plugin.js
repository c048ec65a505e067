// A plugin that does whatever its settings say, however hostile: for the conformance suite of the host.
//
// The settings are {"act": NAME}; the acts have the same names in every language.

import { write as log } from "fireguard:plugin/log@0.1.0";
import { tokens } from "fireguard:plugin/pseudonym@0.1.0";
import { get } from "fireguard:plugin/key-value@0.1.0";

const CALM = '{"calm":true}';
const decode = (bytes) => new TextDecoder().decode(bytes);
const encode = (value) => new TextEncoder().encode(JSON.stringify(value));

let settings;
const remembered = [];

export const setup = {
  configure(text) {
    settings = JSON.parse(text);
    if (settings.act === "bad-settings") {
      throw [{ file: undefined, line: 0, column: 0, pointer: "/act", message: "is bad-settings" }];
    }
    const interest = {
      phase: "resources",
      interactions: [],
      resourceTypes: [],
      directions: ["to-server", "to-client"],
      extras: [],
    };
    return { interests: [interest], needs: [], extras: [] };
  },
};

export const resources = {
  process(exchange, direction, items) {
    const each = (verdict) => items.map(() => verdict);
    if (decode(items[0].content) === CALM) return each({ tag: "keep" });
    const say = (found) => each({ tag: "replace", val: encode(found) });
    switch (settings.act) {
      case "network":
        return say(reached(["fetch", "XMLHttpRequest", "WebSocket"]));
      case "file":
        return say(reached(["require", "read", "readFile", "os", "Deno", "process", "load"]));
      case "environment":
        return say(Object.keys(globalThis.process?.env ?? {}));
      case "key-value":
        return say(code(() => get(["secret"])));
      case "remember": {
        const seen = [...remembered];
        remembered.push("a patient");
        return say(seen);
      }
      case "bomb": {
        const hoard = [];
        for (;;) hoard.push(new Uint8Array(1 << 20).fill(1));
      }
      case "loop":
        for (;;);
      case "recursion":
        return this.process(exchange, direction, items);
      case "giant-strings": {
        const text = "x".repeat(8 << 20);
        log("info", text);
        tokens(text, new Array(100).fill(text));
        return say([]);
      }
      case "malformed":
        return each("keep");
      case "out-of-range":
        return each({ tag: "edits", val: [{ start: 0, end: 0xffffffff, text: new Uint8Array() }] });
      case "wrong-count":
        return [];
      default:
        return each({ tag: "keep" });
    }
  },
};

// Which of these lead anywhere: what is there is called. A promise (of `fetch`) does not: nothing settles it.
function reached(names) {
  return names.filter((name) => {
    try {
      const got = typeof globalThis[name] === "function" ? globalThis[name]("/etc/passwd") : undefined;
      return got !== undefined && !(got instanceof Promise);
    } catch {
      return false;
    }
  });
}

function code(call) {
  try {
    call();
    return ["answered"];
  } catch (error) {
    return [error.payload?.code ?? String(error)];
  }
}
