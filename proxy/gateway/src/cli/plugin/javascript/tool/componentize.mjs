// Makes a component of a module: node componentize.mjs <module> <folder of WIT> <world> <output>
import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [sourcePath, witPath, worldName, output] = process.argv.slice(2);
try {
  // A plugin has no network of its own: without these the component does not even import it.
  const disableFeatures = ["http", "fetch-event"];
  const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
  await writeFile(output, component);
} catch (error) {
  console.error(error.message ?? error);
  process.exit(1);
}
