// What OpenFeature's server SDK for JavaScript gets by way of its OFREP provider: `node ofrep_server.mjs URL TOKEN CASES`.
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';

const [baseUrl, token, cases] = process.argv.slice(2);
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers: [['Authorization', `Bearer ${token}`]] }));
const client = OpenFeature.getClient();
const context = { targetingKey: 'user-7', plan: 'pro', city: 'Ghent' };

const found = { answers: [] };
for (const [kind, key, standby] of JSON.parse(cases)) {
  found.answers.push(await client[`get${kind}Details`](key, standby, context));
}
console.log(JSON.stringify(found));
await OpenFeature.close();
