// What OpenFeature's web SDK gets by way of its OFREP provider, which fetches all flags and hears of changes by polling
// with ETags, or by server-sent events: `node ofrep_web.mjs URL TOKEN CASES`.
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { EventSource } from 'eventsource';

globalThis.EventSource = EventSource;
const [baseUrl, token, cases] = process.argv.slice(2);
const headers = [['Authorization', `Bearer ${token}`]];
const statuses = [];
const waiting = [];

async function counted(request) {
  const response = await fetch(request);
  statuses.push(response.status);
  for (const look of waiting) look();
  return response;
}

function until(condition) {
  return new Promise((resolve) => {
    const look = () => condition() && resolve();
    waiting.push(look);
    look();
  });
}

function changed(domain) {
  return new Promise((resolve) => OpenFeature.getClient(domain).addHandler(ProviderEvents.ConfigurationChanged, resolve));
}

const common = { baseUrl, headers, cacheMode: 'disabled' };
const polling = { ...common, fetchImplementation: counted, changeDetection: 'polling', pollInterval: 100 };
await OpenFeature.setContext({ targetingKey: 'user-7', plan: 'pro', city: 'Ghent' });
await OpenFeature.setProviderAndWait('polling', new OFREPWebProvider(polling));
await OpenFeature.setProviderAndWait('events', new OFREPWebProvider(common));
const client = OpenFeature.getClient('polling');

const found = { answers: [] };
for (const [kind, key, standby] of JSON.parse(cases)) {
  found.answers.push(client[`get${kind}Details`](key, standby));
}
await until(() => statuses.length >= 2);
found.statuses = [...statuses];

// The provider keeps its tag here, as the targeting key is the same.
await OpenFeature.setContext({ targetingKey: 'user-7', plan: 'free', city: 'Ghent' });
found['plan of another context'] = client.getBooleanDetails('plan', true);

const news = Promise.all(['polling', 'events'].map(changed));
const url = `${baseUrl}/ofrep/v1/evaluate/flags/change`;
await fetch(url, { method: 'POST', body: '{}', headers: [...headers, ['Content-Type', 'application/json']] });
const [polled] = await news;
found.changed = polled.flagsChanged;
found['after the change'] = client.getStringValue('text', '?');
found['by an event'] = OpenFeature.getClient('events').getStringValue('text', '?');
console.log(JSON.stringify(found));
await OpenFeature.close();
process.exit(0);
