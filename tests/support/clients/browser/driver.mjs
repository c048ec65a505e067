// A person with a headless Chromium: opens the app, logs in at the real form, and prints what the app saw as one JSON
// object. Then opens the same app at another origin.
//
// Usage: driver.mjs CHROMIUM MODULES. First it serves the app at two origins and prints them as a JSON list; then it reads
// one line, {"iss", "client", "scope", "user", "password"}.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [chromium, modules] = process.argv.slice(2);
const { chromium: browserType } = createRequire(join(modules, 'x'))('playwright-core');
// A loaded machine starts a browser slowly.
const PATIENCE = 120_000;

const files = {
  '/app.html': ['text/html', new URL('app.html', import.meta.url)],
  '/fhir-client.js': ['text/javascript', join(modules, 'fhirclient/build/fhir-client.min.js')],
};

const serve = async () => {
  const server = createServer(async (request, response) => {
    const [type, file] = files[request.url.split('?')[0]] ?? [];
    if (!file) return response.writeHead(404).end();
    return response.writeHead(200, { 'Content-Type': type }).end(await readFile(file));
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return `http://127.0.0.1:${server.address().port}`;
};

const [app, stranger] = [await serve(), await serve()];
console.log(JSON.stringify([app, stranger]));
const input = createInterface({ input: process.stdin });
const line = await new Promise((given) => input.once('line', given));
// Whoever asked has ended.
input.once('close', () => process.exit(1));
const { iss, client, scope, user, password } = JSON.parse(line);

const browser = await browserType.launch({ executablePath: chromium, timeout: PATIENCE });
const context = await browser.newContext();
context.setDefaultTimeout(PATIENCE);

// What the browser itself says of a page, such as why a request was not let through.
const open = async (origin) => {
  const page = await context.newPage();
  const said = [];
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
  await page.goto(`${origin}/app.html?${new URLSearchParams({ iss, client, scope })}`);
  return { page, said };
};
const result = async (page) => {
  await page.waitForFunction(() => window.seen);
  return page.evaluate(() => window.seen);
};

const { page, said } = await open(app);
await page.waitForSelector('#kc-login');
const asked = Object.fromEntries(new URL(page.url()).searchParams);
await page.fill('#username', user);
await page.fill('#password', password);
await page.click('#kc-login');
const seen = { asked, ...(await result(page)), said };

const other = await open(stranger);
seen.stranger = await result(other.page);
// With a token, too, it can read nothing.
seen.stolen = await other.page.evaluate(
  ([url, token]) => fetch(url, { headers: { Authorization: `Bearer ${token}` } }).then(String, String),
  [`${iss}/Patient`, seen.token],
);
seen.stranger.said = other.said;
delete seen.token;

await browser.close();
console.log(JSON.stringify(seen));
process.exit(0);
