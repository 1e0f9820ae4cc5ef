// client.js: the scenario of README.md with @grpc/grpc-js.  SPDX-License-Identifier: Apache-2.0
'use strict';
const { execFile, execFileSync } = require('child_process');
const fs = require('fs');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const { ADDRESS, CERT, TOKEN, PUBLISH, PROTOS, BURST } = process.env;
const pem = fs.readFileSync(CERT);
const token = fs.readFileSync(TOKEN, 'ascii').trim();
const options = { keepCase: true, longs: Number, enums: String, defaults: false, oneofs: true, includeDirs: [PROTOS] };
const { datadog, grpc: { health: { v1: health } } } = grpc.loadPackageDefinition(loader.loadSync(
  ['datadog/api/v1/api.proto', 'datadog/remoteagent/v1/remoteagent.proto', 'grpc/health/v1/health.proto'], options));
const credentials = grpc.credentials.createSsl(pem, pem, pem);
const limits = { 'grpc.max_receive_message_length': 128 << 20 };
const agent = new datadog.api.v1.AgentSecure(ADDRESS, credentials, limits);
const registry = new datadog.remoteagent.v1.RemoteAgent(ADDRESS, credentials, limits);
const health_client = new health.Health(ADDRESS, credentials, limits);

function metadata(session, bearer = token) {
  const result = new grpc.Metadata();
  result.set('authorization', 'Bearer ' + bearer);
  if (session !== undefined) result.set('session_id', session);
  return result;
}

function check(holds, what) {
  if (!holds) throw new Error(what);
}

function unary(client, method, request, meta = metadata()) {
  return new Promise((resolve, reject) => client[method](request, meta, { deadline: Date.now() + 60000 },
    (error, answer) => error ? reject(error) : resolve(answer)));
}

async function fails(code, promise) {
  const error = await promise.then(() => null, (error) => error);
  check(error && error.code === code, `expected ${grpc.status[code]}, got ${error}`);
}

// Events one by one, on demand: what is not asked for is not read.
function subscribe(meta, more = {}) {
  const call = agent.StreamConfigEvents({ name: 'node' }, meta, more);
  const events = call[Symbol.asyncIterator]();
  call.event = async () => {
    const { value, done } = await events.next();
    check(!done, 'the stream ended');
    return value;
  };
  return call;
}

async function register() {
  const answer = await unary(registry, 'RegisterRemoteAgent',
    { pid: '1', flavor: 'node', display_name: 'Node', api_endpoint_uri: 'localhost:0' });
  return answer.session_id;
}

function publish(times) {
  return Number(execFileSync(PUBLISH, [String(times)]));
}

function publish_meanwhile(times) {
  return new Promise((resolve, reject) => execFile(PUBLISH, [String(times)],
    (error, output) => error ? reject(error) : resolve(Number(output))));
}

const scenario = {
  'registers and refreshes': async () => {
    await unary(registry, 'RefreshRemoteAgent', { session_id: await register() });
  },
  'gets a snapshot, then consecutive updates': async () => {
    const call = subscribe(metadata(await register()));
    const { snapshot } = await call.event();
    check(snapshot.settings.length > 0, 'an empty snapshot');
    publish(3);
    for (let i = 1; i <= 3; i++) {
      const { update } = await call.event();
      check(update.sequence_id === snapshot.sequence_id + i && update.setting.key === 'number' &&
            update.setting.value.numberValue === i, 'update ' + JSON.stringify(update));
    }
    call.on('error', () => {});
    call.cancel();
  },
  'a wrong token is UNAUTHENTICATED': () =>
    fails(grpc.status.UNAUTHENTICATED, unary(agent, 'TaggerFetchEntity', {}, metadata(undefined, 'wrong'))),
  'no session is UNAUTHENTICATED': () => fails(grpc.status.UNAUTHENTICATED, subscribe(metadata()).event()),
  'an unknown session is PERMISSION_DENIED': () =>
    fails(grpc.status.PERMISSION_DENIED, subscribe(metadata('unknown')).event()),
  'refreshing an unknown session is NOT_FOUND': () =>
    fails(grpc.status.NOT_FOUND, unary(registry, 'RefreshRemoteAgent', { session_id: 'unknown' })),
  'an unknown method is UNIMPLEMENTED': () => fails(grpc.status.UNIMPLEMENTED, new Promise((resolve, reject) =>
    agent.makeUnaryRequest('/datadog.api.v1.AgentSecure/Nothing', (it) => it, (it) => it, Buffer.alloc(0), metadata(),
      (error, answer) => error ? reject(error) : resolve(answer)))),
  'a deadline ends the stream': async () => {
    const call = subscribe(metadata(await register()), { deadline: Date.now() + 300 });
    await call.event();
    await fails(grpc.status.DEADLINE_EXCEEDED, call.event());
  },
  'a cancelled stream leaves the connection as it was': async () => {
    const call = subscribe(metadata(await register()));
    await call.event();
    const end = fails(grpc.status.CANCELLED, call.event());
    call.cancel();
    await end;
    await unary(agent, 'TaggerFetchEntity', {});
  },
  'health is SERVING': async () => {
    const answer = await unary(health_client, 'Check', {});
    check(answer.status === 'SERVING', JSON.stringify(answer));
  },
  'a stream not read for a burst of updates catches up': async () => {
    const call = subscribe(metadata(await register()));
    let last = (await call.event()).snapshot.sequence_id, number = 0, snapshots = 0;
    const end = await publish_meanwhile(Number(BURST));
    while (last < end) {
      const { snapshot, update } = await call.event();
      if (snapshot) {
        check(snapshot.sequence_id > last, 'a snapshot that goes back');
        last = snapshot.sequence_id;
        number = snapshot.settings.find((setting) => setting.key === 'number').value.numberValue;
        snapshots++;
      } else {
        check(update.sequence_id === last + 1, `update ${update.sequence_id} after ${last}`);
        last = update.sequence_id;
        number = update.setting.value.numberValue;
      }
    }
    check(number === Number(BURST), 'the last number is ' + number);
    console.log(`  (snapshots in between: ${snapshots})`);
    call.on('error', () => {});
    call.cancel();
  },
};

async function main() {
  for (const [sentence, run] of Object.entries(scenario)) {
    await run().catch((error) => {
      console.log(`FAILED: ${sentence}: ${error.message}`);
      process.exit(1);
    });
    console.log('ok: ' + sentence);
  }
  process.exit(0);
}

main();
