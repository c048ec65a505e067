// Does with fhir-kit-client what its users do, and prints what came back as one JSON object.
//
// Usage: fhir_kit_client.mjs BASE MARK LIBRARY, where MARK names what is stored and LIBRARY is the URL of the
// client's own module.

const [base, mark, library] = process.argv.slice(2);
const { Client } = await import(library);

const OBSERVATIONS = 13;
const PAGE = 4;

const client = new Client({ baseUrl: base });
const seen = {};

const observation = (own, subject, number) => ({
  resourceType: 'Observation',
  id: own,
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: subject },
  effectiveDateTime: `2024-03-01T08:${String(number).padStart(2, '0')}:00Z`,
  valueQuantity: { value: 60.5, unit: '1/min' },
});

const failure = async (action) => {
  try {
    await action();
  } catch (error) {
    return [error.response?.status ?? error.status, error.response?.data ?? error.message];
  }
  return ['none'];
};

const patient = await client.create({
  resourceType: 'Patient',
  body: {
    resourceType: 'Patient',
    identifier: [{ system: 'urn:fireguard:mrn', value: mark }],
    name: [{ family: 'FhirKit', given: ['Änne'] }],
    birthDate: '1950-02-03',
  },
});
const id = patient.id;
seen.created = patient;
seen.read = await client.read({ resourceType: 'Patient', id });
seen.updated = await client.update({
  resourceType: 'Patient',
  id,
  body: { ...patient, birthDate: '1951-02-03' },
});
seen.vread = await client.vread({ resourceType: 'Patient', id, version: '1' });
seen.patched = await client.patch({
  resourceType: 'Patient',
  id,
  jsonPatch: [{ op: 'replace', path: '/birthDate', value: '1952-02-03' }],
});

const entry = Array.from({ length: OBSERVATIONS }, (_, number) => ({
  request: { method: 'PUT', url: `Observation/${mark}-${number}` },
  resource: observation(`${mark}-${number}`, `Patient/${id}`, number),
}));
seen.transaction = await client.transaction({ body: { resourceType: 'Bundle', type: 'transaction', entry } });
seen.batch = await client.batch({
  body: { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url: `Patient/${id}` } }] },
});

const searchParams = { patient: `Patient/${id}`, _sort: 'date', _count: PAGE };
seen.pages = [];
let bundle = await client.search({ resourceType: 'Observation', searchParams });
let last = bundle;
while (bundle) {
  seen.pages.push(bundle);
  last = bundle;
  bundle = await client.nextPage({ bundle });
}
const found = seen.pages.flatMap((page) => page.entry).length;
if (found !== OBSERVATIONS) throw new Error(`${found} of ${OBSERVATIONS} over all pages`);
seen.previous = await client.prevPage({ bundle: last });
seen.posted = await client.search({ resourceType: 'Observation', searchParams, options: { postSearch: true } });
seen.everything = await client.operation({ name: 'everything', resourceType: 'Patient', id, method: 'GET' });
seen.history = await client.history({ resourceType: 'Patient', id });
seen.version = (await client.capabilityStatement()).fhirVersion;
seen.invalid = await failure(() =>
  client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', gender: 'zzz' } }),
);

for (let number = 0; number < OBSERVATIONS; number += 1) {
  await client.delete({ resourceType: 'Observation', id: `${mark}-${number}` });
}
seen.deleted = await client.delete({ resourceType: 'Patient', id });
seen.gone = await failure(() => client.read({ resourceType: 'Patient', id }));

console.log(JSON.stringify(seen));
