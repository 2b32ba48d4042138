// The descriptions of the API against real programs: `tsc` checks one by the types, which then runs, and everything that it is
// told and answered is what the schemas say.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { Ajv2020 } from 'ajv/dist/2020.js';
import { build } from 'esbuild';

import { request } from './support/http.mjs';
import { password, unique } from './support/names.mjs';
import { secret, startServer } from './support/server.mjs';
import { LIMIT, within } from './support/wait.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const schema = JSON.parse(readFileSync(path.join(here, '../../docs/api/schema.json'), 'utf8'));

let server;
let folder;
before(async () => {
  server = await startServer({ CHAT_DIALECTS: 'native' });
  // Beside node_modules, where the program finds its client.
  folder = mkdtempSync(path.join(here, 'node_modules/.types-'));
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server.finish();
});

async function register(word) {
  const body = { username: unique(word), password: password() };
  const { status, json, text } = await request(server, { method: 'POST', path: '/api/v1/auth/register', body });
  assert.equal(status, 201, text);
  return { userId: json.user.userId, token: secret(json.token) };
}

/** Whether a value is what the schema of an event or an answer says. */
function checker() {
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  ajv.addSchema(schema, 'api');
  const inside = (of) => JSON.parse(JSON.stringify(of).replaceAll('"#/$defs/', '"api#/$defs/'));
  const { clientToServer, serverToClient } = schema['x-events'].native;
  return ({ kind, name, value }) => {
    const known = kind === 'told' ? serverToClient[name] : clientToServer[name]?.answer;
    assert.ok(known, `${kind} ${name} is not described`);
    const validate = ajv.compile(inside(known));
    assert.ok(validate(value), `${kind} ${name}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(value)}`);
  };
}

test('a program by the types is right for tsc, and what it may not say is wrong', async () => {
  const tsc = path.join(here, 'node_modules/.bin/tsc');
  const { stdout } = await promisify(execFile)(tsc, ['--project', path.join(here, 'types')]).catch((error) => error);
  assert.equal(stdout, '');
});

test('the program does what it says, and is told and answered what the schemas say', async () => {
  const outfile = path.join(folder, 'program.mjs');
  await build({ entryPoints: [path.join(here, 'types/program.ts')], outfile, format: 'esm', platform: 'node', packages: 'external', bundle: true, logLevel: 'error' });
  const { run } = await import(pathToFileURL(outfile));
  const { recorded, texts } = await within(run(server.url, await register('anna'), await register('bert')), LIMIT, 'the end of the program');
  assert.deepEqual(texts, ['hello']);
  const check = checker();
  recorded.filter(({ name }) => name !== '\u0001position').forEach(check);
  assert.ok(recorded.length > 25, `${recorded.length}`);
  assert.throws(() => check({ kind: 'told', name: 'messageSent', value: { message: { messageId: 7 } } }), /messageSent/);
});
