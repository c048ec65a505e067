

class Request(exports.Request):
    def process(self, exchange, head):
        """Refuses searches by the parameters of the setting `refuse`: `["_content"]`."""
        for parameter in head.parameters:
            if parameter.name.split(":")[0] in settings.get("refuse", []):
                return Action_Refuse(fireguard.refusal("not-supported", "this search is not offered here"))
        return Action_Forward()
