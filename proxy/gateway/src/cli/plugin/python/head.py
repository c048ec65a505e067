"""@name@: say in one sentence what it does."""

import fireguard
from wit_world import exports
@imports@

# Made of the settings by `configure`. An instance serves one exchange: nothing else stays here.
settings: dict = {}


class Setup(exports.Setup):
    def configure(self, text, files):
        """Reads the settings, and says when the plugin is called."""
        settings.update(fireguard.read_settings(text, known=[@known@]))
        return fireguard.plan(
@interests@
        )
