

class Written(exports.Written):
    def process(self, events):
        """Tells the log of each write. The same event may come again."""
        for event in events:
            log.write(log.Level.INFO, f"{event.interaction} of {event.resource_type}/{event.resource_id}")
        return [Settled_Done() for _ in events]
