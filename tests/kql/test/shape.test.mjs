// Tests of what is asked of a rule's form.

import assert from "node:assert/strict";
import { test } from "node:test";
import { misshapen } from "../shape.mjs";

const query = "let a = 1;   // Why.\nAuth0Events(eventcode_in=dynamic(['s']))\n| where TimeGenerated > ago(1d)\n";
const rule = {
  id: "01234567-89ab-cdef-0123-456789abcdef",
  name: "Auth0 - Something",
  description: "Somebody did it. Ask them.\n",
  severity: "High",
  requiredDataConnectors: [{ connectorId: "Auth0Poller" }],
  queryFrequency: "1h",
  queryPeriod: "14d",
  triggerOperator: "gt",
  triggerThreshold: 0,
  tactics: ["CredentialAccess", "Persistence"],
  relevantTechniques: ["T1110.004", "T1098"],
  query,
  entityMappings: [{ entityType: "IP", fieldMappings: [{ identifier: "Address", columnName: "IPAddress" }] }],
  customDetails: { Count: "Count" },
  alertDetailsOverride: { alertDisplayNameFormat: "Auth0 - {{a}} {{b}} {{c}}" },
  incidentConfiguration: { createIncident: true },
  version: "1.0.0",
  kind: "Scheduled",
};

test("a rule in order has nothing wrong with it", () => assert.deepEqual(misshapen(rule), []));

for (const [what, change] of Object.entries({
  "the id is a GUID": { id: "1" },
  "the name says whose it is": { name: "Something" },
  "the description is of sentences": { description: "Somebody did it" },
  "nothing is too long": { description: `${"x".repeat(5000)}.` },
  "everything is ASCII": { name: "Auth0 - Sömething" },
  "techniques have their numbers": { relevantTechniques: ["T1110.004", "T1098", "T1098.1"] },
  "each technique is of a tactic": { relevantTechniques: ["T1110.004", "T1098", "T1496"] },
  "each tactic has a technique": { tactics: ["CredentialAccess", "Persistence", "Impact"] },
  "identifiers are allowed": { entityMappings: [{ entityType: "IP", fieldMappings: [{ identifier: "Name" }] }] },
  "the version has three numbers": { version: "1.0" },
  "the query reads the function, not the table": { query: `${query}| join Auth0AM_CL on a` },
  "the query asks for the time first": { query: "let a = 1;\nAuth0Events\n| where IPAddress == '1'\n| where TimeGenerated > ago(1d)" },
  "the query gives the function the codes of events": { query: "let a = 1;\nAuth0Events\n| where TimeGenerated > ago(1d)\n    and a\n| where EventCode in ('s')\n" },
  "any result is an alert": { triggerThreshold: 1 },
  "the severity is one": { severity: "Critical" },
  "frequency and period fit each other": { queryPeriod: "15d" },
  "what looks far back runs at most hourly": { queryFrequency: "30m", queryPeriod: "2d" },
  "the connector is named": { requiredDataConnectors: [] },
  "there is an entity": { entityMappings: undefined },
  "there are details, not too many": { customDetails: {} },
  "an alert names the tenant where its query does": { query: `${query}| summarize count() by TenantName` },
  "details have short names": { customDetails: { "A-Count": "Count" } },
  "a title has at most three columns": { alertDetailsOverride: { alertDisplayNameFormat: "{{a}}{{b}}{{c}}{{d}}" } },
  "an alert makes an incident": { incidentConfiguration: { createIncident: false } },
  "thresholds stand at the head": { query: query.replace(/^let.*\n/, "") },
})) {
  test(`it is told where it is not so that ${what}`, () => assert.deepEqual(misshapen({ ...rule, ...change }), [what]));
}

test("a hunting query needs no severity and no schedule", () => {
  const { kind, severity, queryFrequency, queryPeriod, customDetails, ...hunt } = rule;
  assert.deepEqual(misshapen(hunt), []);
});
