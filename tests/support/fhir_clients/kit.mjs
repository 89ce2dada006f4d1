// fhir-kit-client against a server: node kit.mjs BASE PATIENT ASSERTION, from the folder with node_modules.
// Prints one JSON object of what it saw.
import { Client } from "fhir-kit-client";

const [base, patient, assertion] = process.argv.slice(2);
const client = new Client({ baseUrl: base });
const told = {};

const metadata = await client.capabilityStatement();
told.fhirVersion = metadata.fhirVersion;
const smart = await client.smartAuthMetadata();
told.tokenUrl = String(smart.tokenUrl);

const answer = await fetch(smart.tokenUrl, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "client_credentials",
    scope: "system/*.cruds",
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: assertion,
  }),
});
client.bearerToken = (await answer.json()).access_token;

told.ids = [];
const searchParams = { patient, category: "vital-signs", _count: "40", _sort: "-date" };
let page = await client.search({ resourceType: "Observation", searchParams });
told.pages = 1;
for (; page; told.pages += 1) {
  told.ids.push(...(page.entry ?? []).map((entry) => entry.resource.id));
  page = await client.nextPage({ bundle: page });
  if (!page) break;
}
const posted = await client.search({
  resourceType: "Observation", searchParams, options: { postSearch: true },
});
told.posted = posted.entry.length;

const one = await client.read({ resourceType: "Observation", id: told.ids[0] });
told.read = one.resourceType;
const whose = await client.resolve({ reference: one.subject.reference });
told.subject = whose.id;

const body = {
  resourceType: "Goal", lifecycleStatus: "active", description: { text: "Walk every day" },
  subject: { reference: `Patient/${patient}` },
};
const goal = await client.create({ resourceType: "Goal", body });
const version = goal.meta.versionId;
told.created = goal.id.length > 0;
const changed = await client.update({
  resourceType: "Goal", id: goal.id, body: { ...goal, lifecycleStatus: "on-hold" },
  options: { headers: { "If-Match": `W/"${version}"` } },
});
told.updated = [changed.meta.versionId !== version, changed.lifecycleStatus];
const patched = await client.patch({
  resourceType: "Goal", id: goal.id,
  jsonPatch: [{ op: "replace", path: "/lifecycleStatus", value: "completed" }],
});
told.patched = [patched.meta.versionId !== changed.meta.versionId, patched.lifecycleStatus];
const first = await client.vread({ resourceType: "Goal", id: goal.id, version });
told.vread = first.lifecycleStatus;
const history = await client.history({ resourceType: "Goal", id: goal.id });
told.history = history.entry.length;
const together = await client.transaction({
  body: {
    resourceType: "Bundle", type: "transaction",
    entry: [{ request: { method: "POST", url: "Goal" }, resource: body }],
  },
});
told.transaction = together.entry[0].response.status.slice(0, 3);
await client.delete({ resourceType: "Goal", id: goal.id });

async function fails(call) {
  try {
    await call();
    return null;
  } catch (error) {
    const outcome = error.response?.data;
    return [error.response?.status, outcome?.resourceType, outcome?.issue?.[0]?.code];
  }
}
told.gone = await fails(() => client.read({ resourceType: "Goal", id: goal.id }));
told.missing = await fails(() => client.read({ resourceType: "Patient", id: "nobody" }));
told.invalid = await fails(() =>
  client.create({ resourceType: "Goal", body: { ...body, lifecycleStatus: "sometimes" } }));
told.unknown = await fails(() =>
  client.search({ resourceType: "Observation", searchParams: { patient, date: "yesterday" } }));
client.bearerToken = "wl_nobody";
told.stranger = await fails(() => client.read({ resourceType: "Patient", id: patient }));
console.log(JSON.stringify(told));
