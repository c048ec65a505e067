

class Resources(exports.Resources):
    def process(self, exchange, direction, resources):
        """One verdict for each resource, in the same order."""
        return [self.judge(fireguard.loads(item.content)) for item in resources]

    def judge(self, resource):
        """Takes the elements of the setting `remove` out of it: `["photo"]`."""
        present = [name for name in settings.get("remove", []) if name in resource]
        if not present:
            return fireguard.keep()
        for name in present:
            del resource[name]
        return fireguard.replace(resource)
