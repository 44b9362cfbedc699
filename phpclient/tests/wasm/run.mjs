// Runs requests on PHP versions compiled to WebAssembly. Each line of standard input is one of them,
// {"version": "7.4", "script": "/package/…", "query": "a=b", "cookie": "PHPSESSID=…"}; a line of standard output answers it,
// {"text": "…", "cookies": ["PHPSESSID=…; path=/"]}. PHP sees the folder of the first argument as /package, and the sessiond
// at the address of the second as the device /dev/sessiond.
import { createInterface } from 'node:readline';
import { createNodeFsMountHandler, loadNodeRuntime } from '@php-wasm/node';
import { PHP, __private__dont__use } from '@php-wasm/universal';
import { install } from './device.mjs';

const [folder, address] = process.argv.slice(2);
const [host, port] = address.split(':');
let version;
let php;

async function boot(wanted) {
  if (version === wanted) return;
  php?.exit();
  php = new PHP(await loadNodeRuntime(wanted, { emscriptenOptions: { processId: process.pid } }));
  install(php[__private__dont__use], '/dev/sessiond', { host, port });
  php.mkdir('/package');
  await php.mount('/package', createNodeFsMountHandler(folder));
  php.mkdir('/sessions');
  version = wanted;
}

async function run(request) {
  await boot(request.version);
  const cookie = request.cookie ? { Cookie: request.cookie } : {};
  try {
    return await php.run({ scriptPath: request.script, relativeUri: `/?${request.query}`, headers: cookie });
  } catch (error) {
    if (error.response) return error.response; // PHP ended with an error of its own, and an answer
    throw error;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await run(JSON.parse(line));
  console.log(JSON.stringify({ text: answer.text, cookies: answer.headers['set-cookie'] ?? [] }));
}
process.exit(0);
