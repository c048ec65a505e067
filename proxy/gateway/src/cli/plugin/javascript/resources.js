
export const resources = {
  // One verdict for each resource, in the same order.
  process(exchange, direction, items) {
    return items.map((item) => judge(fireguard.read(item.content)));
  },
};

// Takes the elements of the setting `remove` out of it: `["photo"]`.
function judge(resource) {
  const present = (settings.remove ?? []).filter((name) => name in resource);
  if (present.length === 0) return fireguard.keep();
  for (const name of present) delete resource[name];
  return fireguard.replace(resource);
}
