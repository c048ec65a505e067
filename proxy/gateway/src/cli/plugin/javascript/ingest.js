
export const ingest = {
  // Makes an Observation of each message such as {"patient": "1", "code": "8867-4", "value": 61, "unit": "/min"}.
  process(exchange, messages) {
    return messages.map((message) => convert(message.content));
  },
};

function convert(content) {
  let message;
  try {
    message = fireguard.read(content);
  } catch {
    message = {};
  }
  const { patient, code, value, unit } = message;
  if ([patient, code, value, unit].includes(undefined)) {
    const why = "no measurement: patient, code, value and unit are needed";
    return { tag: "err", val: { place: "", message: why, extras: [] } };
  }
  const observation = {
    resourceType: "Observation",
    status: "final",
    code: { coding: [{ system: "http://loinc.org", code }] },
    subject: { reference: `Patient/${patient}` },
    valueQuantity: { value, unit },
  };
  return { tag: "ok", val: [fireguard.write(observation)] };
}
