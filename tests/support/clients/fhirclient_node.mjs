// Does with the npm package fhirclient what its users do, and prints what came back as one JSON object.
//
// Usage: fhirclient_node.mjs BASE MARK LIBRARY, where MARK names what is stored and LIBRARY is the URL of the
// client's own module. It asks for `application/json`, not for FHIR's own type.

const [base, mark, library] = process.argv.slice(2);
const { FhirClient } = (await import(library)).default;

const OBSERVATIONS = 9;
const PAGE = 3;

const client = new FhirClient(base);
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
    return [error.status ?? error.statusCode, error.message];
  }
  return ['none'];
};

const patient = await client.create({
  resourceType: 'Patient',
  identifier: [{ system: 'urn:fireguard:mrn', value: mark }],
  name: [{ family: 'Clientjs', given: ['Änne'] }],
  birthDate: '1950-02-03',
});
const at = `Patient/${patient.id}`;
seen.created = patient;
seen.read = await client.fhirRequest(at);
const newer = { ...patient, birthDate: '1951-02-03' };
const ifMatch = (version) => ({ headers: { 'If-Match': `W/"${version}"` } });
seen.updated = await client.update(newer, ifMatch(1));
const stale = await failure(() => client.update({ ...patient, birthDate: '1949-02-03' }, ifMatch(1)));
// HAPI says 409 where FHIR says 412, and Fireguard puts it right.
seen.stale = [409, 412].includes(stale[0]);
seen.patched = await client.patch(at, [{ op: 'replace', path: '/birthDate', value: '1952-02-03' }]);

const entry = Array.from({ length: OBSERVATIONS }, (_, number) => ({
  request: { method: 'PUT', url: `Observation/${mark}-${number}` },
  resource: observation(`${mark}-${number}`, at, number),
}));
seen.transaction = await client.fhirRequest('/', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry }),
});

const search = `Observation?patient=${at}&_sort=date&_count=${PAGE}&_include=Observation:subject`;
seen.pages = [];
for await (const page of client.pages(search)) seen.pages.push(page);
if (seen.pages.length !== OBSERVATIONS / PAGE) throw new Error(`${seen.pages.length} pages`);
seen.resources = [];
for await (const resource of client.resources(search)) seen.resources.push(resource);
seen.references = Object.entries(await client.getReferences(seen.resources[0], ['subject']));
seen.history = await client.fhirRequest(`${at}/_history`);
seen.version = await client.getFhirVersion();
seen.invalid = await failure(() => client.create({ resourceType: 'Patient', gender: 'zzz' }));

for (let number = 0; number < OBSERVATIONS; number += 1) await client.delete(`Observation/${mark}-${number}`);
seen.deleted = await client.delete(at);
seen.gone = await failure(() => client.fhirRequest(at));

console.log(JSON.stringify(seen));
