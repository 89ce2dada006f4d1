// @medplum/core against a server: node medplum.mjs BASE PATIENT ASSERTION, from the folder with node_modules.
// Prints one JSON object of what it saw.
import { MedplumClient, OperationOutcomeError, getReferenceString } from "@medplum/core";

const [base, patient, assertion] = process.argv.slice(2);
const root = base.replace(/\/fhir$/, "");
const medplum = new MedplumClient({
  baseUrl: root, fhirUrlPath: "fhir", tokenUrl: `${root}/oauth/token`, cacheTime: 0, fetch,
});
const told = {};

const metadata = await medplum.get(medplum.fhirUrl("metadata"));
told.fhirVersion = metadata.fhirVersion;
await medplum.startJwtAssertionLogin(assertion);
told.signedIn = Boolean(medplum.getAccessToken());

told.ids = [];
told.pages = 0;
const query = `patient=${patient}&category=vital-signs&_count=40&_sort=-date`;
for await (const page of medplum.searchResourcePages("Observation", query)) {
  told.pages += 1;
  told.ids.push(...page.map((resource) => resource.id));
}
const one = await medplum.readResource("Observation", told.ids[0]);
told.read = one.resourceType;
told.subject = (await medplum.readReference(one.subject)).id;
const found = await medplum.searchOne("Patient", { _id: patient });
told.found = found?.id;

const body = {
  resourceType: "Goal", lifecycleStatus: "active", description: { text: "Walk every day" },
  subject: { reference: `Patient/${patient}` },
  identifier: [{ system: "urn:test:goals", value: "medplum-1" }],
};
const goal = await medplum.createResource(body);
const version = goal.meta.versionId;
told.created = getReferenceString(goal) === `Goal/${goal.id}`;
const again = await medplum.createResourceIfNoneExist(body, "identifier=urn:test:goals|medplum-1");
told.again = again.id === goal.id;
const changed = await medplum.updateResource({ ...goal, lifecycleStatus: "on-hold" });
told.updated = [changed.meta.versionId !== version, changed.lifecycleStatus];
const patched = await medplum.patchResource("Goal", goal.id, [
  { op: "replace", path: "/lifecycleStatus", value: "completed" },
]);
told.patched = [patched.meta.versionId !== changed.meta.versionId, patched.lifecycleStatus];
told.vread = (await medplum.readVersion("Goal", goal.id, version)).lifecycleStatus;
told.history = (await medplum.readHistory("Goal", goal.id)).entry.length;
const together = await medplum.executeBatch({
  resourceType: "Bundle", type: "batch",
  entry: [{ request: { method: "GET", url: `Patient/${patient}` } }],
});
told.batch = together.entry[0].response.status.slice(0, 3);
await medplum.deleteResource("Goal", goal.id);

async function fails(call) {
  try {
    await call();
    return null;
  } catch (error) {
    if (!(error instanceof OperationOutcomeError)) return String(error);
    return [error.outcome.resourceType, error.outcome.issue[0].code];
  }
}
told.gone = await fails(() => medplum.readResource("Goal", goal.id, { cache: "reload" }));
told.missing = await fails(() => medplum.readResource("Patient", "nobody"));
told.invalid = await fails(() => medplum.createResource({ ...body, lifecycleStatus: "sometimes" }));
told.unknown = await fails(() => medplum.search("Observation", `patient=${patient}&date=yesterday`));
console.log(JSON.stringify(told));
