// @name@: say in one sentence what it does.

import * as fireguard from "./fireguard.js";
@imports@

// Made of the settings by `configure`. An instance serves one exchange: nothing else stays here.
let settings = {};

export const setup = {
  // Reads the settings, and says when the plugin is called.
  configure(text, files) {
    settings = fireguard.readSettings(text, [@known@]);
    return fireguard.plan([
@interests@
    ]);
  },
};
