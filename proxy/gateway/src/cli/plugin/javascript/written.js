
export const written = {
  // Tells the log of each write. The same event may come again.
  process(events) {
    return events.map((event) => {
      log("info", `${event.interaction} of ${event.resourceType}/${event.resourceId}`);
      return { tag: "done" };
    });
  },
};
