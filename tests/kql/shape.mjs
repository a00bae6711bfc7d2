// The form that Microsoft Sentinel and the validators of its gallery ask of an
// analytic rule, and what this project asks: that a query reads the function
// Auth0Events alone, besides heartbeats and diagnostics, by time first, looks back at most 14
// days, and names the codes of the events that it wants instead of picking them from all.

const HOUR = 3600;
const DAY = 24 * HOUR;
const SECONDS = { m: 60, h: HOUR, d: DAY };
const LONGEST_PERIOD = 14 * DAY;
const LENGTHS = { name: 256, description: 5000, query: 10_000 };
const SEVERITIES = ["High", "Medium", "Low", "Informational"];
/** Of MITRE ATT&CK, as far as rules name them: the tactics of each technique. */
const TACTICS = {
  T1027: ["DefenseEvasion"],
  T1056: ["Collection", "CredentialAccess"],
  T1078: ["DefenseEvasion", "Persistence", "PrivilegeEscalation", "InitialAccess"],
  T1087: ["Discovery"],
  T1098: ["Persistence", "PrivilegeEscalation"],
  T1110: ["CredentialAccess"],
  T1136: ["Persistence"],
  T1190: ["InitialAccess"],
  T1496: ["Impact"],
  T1528: ["CredentialAccess"],
  T1531: ["Impact"],
  T1550: ["DefenseEvasion", "LateralMovement"],
  T1552: ["CredentialAccess"],
  T1556: ["CredentialAccess", "DefenseEvasion", "Persistence"],
  T1562: ["DefenseEvasion"],
  T1567: ["Exfiltration"],
  T1585: ["ResourceDevelopment"],
  T1595: ["Reconnaissance"],
  T1599: ["DefenseEvasion"],
  T1621: ["CredentialAccess"],
};
/** Identifiers of entities that rules use, of those that Sentinel allows. */
const IDENTIFIERS = { Account: ["FullName", "Name", "UPNSuffix", "AadUserId"], IP: ["Address"], CloudApplication: ["Name", "AppId", "InstanceName"] };
const MOST = { entityMappings: 10, fieldMappings: 3, customDetails: 20, detailName: 20, placeholders: 3 };

/** The codes that a query gives to the function. */
const CODES = /\(eventcode_in=dynamic\(\[[^\]]*\]\)\)/g;

const seconds = (text) => {
  const [, count, unit] = /^(\d+)([mhd])$/.exec(text ?? "") ?? [];
  return count ? Number(count) * SECONDS[unit] : NaN;
};

/** What a rule reads that is about the way of the rows, and not about what is in them. */
const DIAGNOSTICS = /^\s+(DCRLogErrors|Operation)\n\s*\| where TimeGenerated > ago\(/m;

/** What is wrong with the form of a rule, or of a hunting query, which has less. */
export function misshapen(rule) {
  const found = [...shared(rule), ...(rule.kind === undefined ? [] : scheduled(rule))];
  return found.filter(([isRight]) => !isRight).map(([, what]) => what);
}

function shared({ id, name, description, query, tactics, relevantTechniques, entityMappings = [], version }) {
  const techniques = relevantTechniques.map((it) => it.split(".")[0]);
  const called = query.replaceAll(CODES, "");
  const sources = [...called.matchAll(/^.*\bAuth0Events\b(.*\n(?:\s*\/\/.*\n)*.*)$/gm)].filter(([line]) => !/^\s*\/\//.test(line));
  return [
    [/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id), "the id is a GUID"],
    [/^Auth0 - [A-Z]/.test(name), "the name says whose it is"],
    [/\.\s*$/.test(description), "the description is of sentences"],
    [Object.entries(LENGTHS).every(([field, most]) => ({ name, description, query })[field].length <= most), "nothing is too long"],
    [/^[\x20-\x7e\n]*$/.test(query + name + description), "everything is ASCII"],
    [relevantTechniques.every((it) => /^T\d{4}(\.\d{3})?$/.test(it)), "techniques have their numbers"],
    [techniques.every((it) => TACTICS[it]?.some((tactic) => tactics.includes(tactic))), "each technique is of a tactic"],
    [tactics.every((tactic) => techniques.some((it) => TACTICS[it]?.includes(tactic))), "each tactic has a technique"],
    [entityMappings.length <= MOST.entityMappings, "entities are not too many"],
    [entityMappings.every(({ entityType, fieldMappings }) => fieldMappings.length <= MOST.fieldMappings
      && fieldMappings.every(({ identifier }) => IDENTIFIERS[entityType]?.includes(identifier))), "identifiers are allowed"],
    [/^\d+\.\d+\.\d+$/.test(version), "the version has three numbers"],
    [!query.replaceAll(/Auth0AMHealth_CL|'Custom-Auth0AM'|has 'Auth0AM_CL'/g, "").includes("Auth0AM"), "the query reads the function, not the table"],
    [(sources.length > 0 || DIAGNOSTICS.test(query)) && sources.every(([, rest]) => /^\s*\n(\s*\/\/.*\n)*\s*\| where TimeGenerated > ago\(/.test(rest)),
      "the query asks for the time first"],
    [!/Auth0Events\n(\s*(\| where|and|\/\/).*\n)*\s*(\| where|and) EventCode (==|in) /.test(query), "the query gives the function the codes of events"],
  ];
}

function scheduled(rule) {
  const { severity, queryFrequency, queryPeriod, customDetails = {}, alertDetailsOverride = {}, entityMappings } = rule;
  const [frequency, period] = [queryFrequency, queryPeriod].map(seconds);
  const format = alertDetailsOverride.alertDisplayNameFormat ?? "";
  return [
    [rule.kind === "Scheduled" && rule.triggerOperator === "gt" && rule.triggerThreshold === 0, "any result is an alert"],
    [SEVERITIES.includes(severity), "the severity is one"],
    [frequency >= 300 && frequency <= period && period <= LONGEST_PERIOD, "frequency and period fit each other"],
    [period < 2 * DAY || frequency >= HOUR, "what looks far back runs at most hourly"],
    [rule.requiredDataConnectors?.[0]?.connectorId === "Auth0Poller", "the connector is named"],
    [entityMappings?.length > 0, "there is an entity"],
    [Object.keys(customDetails).length > 0 && Object.keys(customDetails).length <= MOST.customDetails, "there are details, not too many"],
    [!/\bTenantName\b/.test(rule.query) || "Tenant" in customDetails, "an alert names the tenant where its query does"],
    [Object.keys(customDetails).every((it) => it.length <= MOST.detailName && /^[A-Za-z0-9]+$/.test(it)), "details have short names"],
    [format.length <= LENGTHS.name && format.split("{{").length - 1 <= MOST.placeholders, "a title has at most three columns"],
    [rule.incidentConfiguration?.createIncident === true, "an alert makes an incident"],
    [/^let \w+ = /m.test(rule.query), "thresholds stand at the head"],
  ];
}
