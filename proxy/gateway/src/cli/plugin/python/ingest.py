

class Ingest(exports.Ingest):
    def process(self, exchange, messages):
        """Makes an Observation of each message such as `{"patient": "1", "code": "8867-4", "value": 61, "unit": "/min"}`."""
        return [self.convert(message.content) for message in messages]

    def convert(self, content):
        try:
            message = fireguard.loads(content)
            observation = {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": message["code"]}]},
                "subject": {"reference": f"Patient/{message['patient']}"},
                "valueQuantity": {"value": message["value"], "unit": message["unit"]},
            }
        except (ValueError, KeyError, TypeError):
            return Err(Problem("", "no measurement: patient, code, value and unit are needed", []))
        return Ok([fireguard.dumps(observation)])
