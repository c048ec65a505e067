
export const request = {
  // Refuses searches by the parameters of the setting `refuse`: `["_content"]`.
  process(exchange, head) {
    const refused = (parameter) => settings.refuse?.includes(parameter.name.split(":")[0]);
    if (head.parameters.some(refused)) {
      return { tag: "refuse", val: fireguard.refusal("not-supported", "this search is not offered here") };
    }
    return { tag: "forward" };
  },
};
