// The words that scenarios are written in: records of the tenant's log as Auth0
// writes them, by the minute of one day, and what a rule should make of them.
// It knows nothing of rows and rules.

/** The time at which the rules run. */
export const NOW = "2026-11-21T12:00:00Z";

const MINUTE = 60_000;
const now = Date.parse(NOW);

/** ISO text of a time so many minutes before the rules run; after it where they are negative. */
export const ago = (minutes) => new Date(now - minutes * MINUTE).toISOString();

/** A record of this day, from one address. A clock is "11:40" or "11:40:05". */
export function event(clock, type, fields = {}) {
  return {
    date: `2026-11-21T${clock.length === 5 ? `${clock}:00` : clock}.000Z`,
    type,
    ip: "198.51.100.7",
    client_id: "shop",
    client_name: "Shop",
    user_id: "auth0|1",
    user_name: "jane@example.com",
    ...fields,
  };
}

/** A successful call of the Management API by an administrator in the dashboard. */
export function call(clock, method, path, body = null, answer) {
  const details = {
    request: {
      method,
      path,
      ip: "203.0.113.9",
      body,
      auth: { user: { email: "admin@example.com", user_id: "google-oauth2|1" }, strategy: "jwt" },
    },
    response: { statusCode: 200, ...(answer === undefined ? {} : { body: answer }) },
  };
  return event(clock, "sapi", { user_id: "google-oauth2|1", user_name: null, details });
}

/** The same call, which the API refused. */
export const refused = (record) => changed(record, (copy) => (copy.details.response.statusCode = 403));

const answeredWith = (record, status) => changed(record, (copy) => (copy.details.response = { statusCode: status }));

/** The same call, of whose answer the record has nothing. */
export const unanswered = (record) => changed(record, (copy) => delete copy.details.response);

/** The same call by a program, from an address that only the record itself has. */
export const byProgram = (record) =>
  changed(record, (copy) => {
    delete copy.details.request.auth;
    delete copy.details.request.ip;
    Object.assign(copy, { user_id: "", client_id: "robot", ip: "192.0.2.44" });
  });

export function changed(record, change) {
  const copy = structuredClone(record);
  change(copy);
  return copy;
}

export const user = (name) => ({ user_name: name, user_id: `auth0|${name}` });

/** The two digits of a number. */
export const two = (number) => String(number).padStart(2, "0");

/** So many times what `make` makes of 0, 1, 2 and so on. */
export const times = (count, make) => Array.from({ length: count }, (_, n) => make(n));

/** The records, so many hours earlier. */
export const earlier = (hours, records) =>
  records.map((record) => ({ ...record, date: new Date(Date.parse(record.date) - hours * 60 * MINUTE).toISOString() }));

/** The records, each of which arrives so many minutes before the rules run. */
export const arriving = (minutes, records) => records.map((record) => ({ record, arrival: ago(minutes) }));

/**
 * A case of which the rule makes these alerts: their number, their titles after
 * the severity, or objects with some of {title, severity, entities, details}.
 * A record arrives when it happens, unless arriving() says otherwise.
 */
export const fires = (what, records, alerts) => ({ what, records, alerts });

export const quiet = (what, records) => fires(what, records, 0);

const from = (records, address) => records.map((record, n) => ({ ...record, ip: address(n) }));

/** One network of IPv6 counts as one address. The alert names the last one in the order of letters. */
export const networked = (records, last, alert) => [
  fires("from a network of IPv6", from(records, (n) => `2001:db8:1:2:${n % 2 ? "8000:" : ""}:${(n + 1).toString(16)}`), [
    { entities: [`IP 2001:db8:1:2::${last}`], details: { Network: "2001:0db8:0001:0002:0000:0000:0000:0000" }, ...alert }]),
  quiet("from two networks of IPv6", from(records, (n) => `2001:db8:1:${n % 2 ? 3 : 2}::9`)),
  quiet("from addresses of IPv4 that are written as of IPv6", from(records, (n) => `::ffff:203.0.113.${n}`)),
];

const RULE = "/subscriptions/0/resourcegroups/logs/providers/microsoft.insights/datacollectionrules/auth0-acme";

/** The case, in a workspace with heartbeats of these tenants: of each, how many minutes before the rules run. */
export const beating = (tenants, one) => ({
  ...one,
  beats: Object.entries(tenants).flatMap(([tenant, minutes]) =>
    minutes.map((it) => ({ TimeGenerated: ago(it), TenantName_s: tenant, Destination_s: "log-analytics", State_s: "ok" }))),
});

/**
 * The case, in a workspace that gets the diagnostics of a data collection rule: errors and metrics, each as
 * many minutes before the rules run, with what differs from one of the connector's.
 */
export const diagnosed = ({ errors = [], metrics = [] }, one) => ({
  ...one,
  errors: errors.map(([minutes, other]) => ({
    TimeGenerated: ago(minutes), InputStreamId: "Custom-Auth0AM_CL", OperationName: "Ingestion",
    Message: "The request is too large.", _ResourceId: RULE, ...other,
  })),
  metrics: metrics.map(([minutes, other]) => ({
    TimeGenerated: ago(minutes), MetricName: "RowsDropped_Count", Total: 3, _ResourceId: RULE, ...other,
  })),
});

/** The case, in a workspace that says these things of itself, each as many minutes before the rules run. */
export const saying = (details, one) => ({
  ...one,
  operations: details.map(([minutes, Detail]) => ({ TimeGenerated: ago(minutes), OperationCategory: "Data Collection Status", Detail })),
});

/** The case, of a rule one of whose let lines somebody has set to this. */
export const set = (name, value, one) => ({ ...one, lets: { [name]: value } });

/**
 * What the frame of a rule does that runs every hour, over a day: it takes a
 * record that came late, each only when it has arrived, and none beyond the day.
 * The records are of the last two hours, and each starts at a half hour's side.
 */
export function framed(records, alerts, { late = 22, old = 24 } = {}) {
  return [
    fires("late, and just before the run's overlap ends", arriving(64.9, earlier(late, records)), alerts),
    quiet("seen by the run before", arriving(65.1, earlier(late, records))),
    quiet("older than what is looked at", arriving(1, earlier(old, records))),
  ];
}

/** What every rule about calls of the Management API does: it looks at those that succeeded, in time. */
export function managed(record, alerts) {
  return [
    ...framed([record], alerts),
    quiet("refused", [refused(record)]),
    quiet("refused as a bad request", [answeredWith(record, 400)]),
    fires("answered 399, the last that is no refusal", [answeredWith(record, 399)], alerts),
    fires("without an answer", [unanswered(record)], alerts),
    quiet("another kind of record", [{ ...record, type: "mgmt_api_read" }]),
  ];
}

/**
 * What a rule does that counts in windows of an hour, of which one begins every
 * half hour: `split` gives records of which some are at each of two times.
 */
export function windowed(split, alerts) {
  return [
    fires("within a window, far apart", split("10:31", "11:28"), alerts),
    fires("before and after the full hour", split("10:59", "11:01"), alerts),
    quiet("in no window together", split("10:06", "11:06")),
    // The service then takes the time of arrival for that of the event.
    quiet("in no window together, and arrived at once days later", arriving(30, earlier(72, split("10:06", "11:06")))),
    ...framed(split("11:05", "11:25"), alerts),
  ];
}

/**
 * What a rule does that counts within a day, wherever that day begins. Of records that arrive days late the
 * service takes the time of arrival for that of the event: they count by the day on which they happened.
 */
export function daily(records, alerts, { minutes = 30 } = {}) {
  const [first, ...others] = records;
  return [
    fires("before and after midnight", [...earlier(22, [first]), ...others], alerts),
    quiet("of two days, and arrived at once days later", arriving(minutes, [...earlier(96, [first]), ...earlier(72, others)])),
  ];
}

/**
 * What a rule does that counts by tenants: a host of Auth0's begins with the tenant's name, and what names
 * none counts for each, by whatever other host it came. `make` gives so many records, from a number on, with
 * these fields.
 */
export function unnamed(count, make) {
  const [own, other] = [{ hostname: "login.example.com" }, { hostname: "sso.example.com" }];
  const canonical = (tenant, below = ".eu.auth0.com") => ({ hostname: `${tenant}${below}` });
  const half = Math.ceil(count / 2);
  return [
    fires("by two hosts in turn", [...make(half, 0, own), ...make(count - half, half, canonical("acme"))], [
      { details: { Tenant: "acme" } }]),
    fires("by two hosts in turn, neither of Auth0's", [...make(half, 0, own), ...make(count - half, half, other)], [
      { details: { Tenant: "login.example.com, sso.example.com" } }]),
    fires("by a host of Auth0's, beside other tenants", [...make(count, 0, canonical("c")), ...make(1, count, { tenant_name: "a" }),
      ...make(1, count + 1, { tenant_name: "b" })], [{ details: { Tenant: "c" } }]),
    fires("by a host of Auth0's, and named", [...make(1, 0, canonical("C", ".AUTH0.COM")), ...make(count - 1, 1, { tenant_name: "c" })], [
      { details: { Tenant: "c" } }]),
    quiet("of two tenants, by hosts of Auth0's", [...make(half, 0, canonical("a")), ...make(half, half, canonical("b"))]),
    quiet("of two tenants, by hosts of Auth0's in other spellings", [...make(half, 0, canonical("A", ".AUTH0.COM")), ...make(half, half, canonical("b", ".x.y.auth0.com"))]),
    fires("by a host that only looks like one of Auth0's, of either of two tenants", [
      ...make(half, 0, canonical("c", ".notauth0.com")), ...make(count - half, half, canonical("c", ".auth0.com.example")),
      ...make(1, count, { tenant_name: "a" }), ...make(1, count + 1, { tenant_name: "b" })], [{ details: { Tenant: "a" } }, { details: { Tenant: "b" } }]),
    fires("half of which name the tenant", [...make(half, 0, { ...own, tenant_name: "acme" }), ...make(count - half, half, own)], [
      { details: { Tenant: "acme" } }]),
    fires("one of which names the tenant", [...make(count, 0, own), ...make(1, count, { tenant_name: "acme" })], [
      { details: { Tenant: "acme" } }]),
    fires("of one of two tenants", [...make(count, 0, { tenant_name: "a" }), ...make(1, count, { tenant_name: "b" })], [
      { details: { Tenant: "a" } }]),
    quiet("of two tenants, and of none that is named", [...make(half, 0, { tenant_name: "a" }), ...make(half, half, { tenant_name: "b" }),
      ...make(count - half - 1, 2 * half, own)]),
  ];
}

/**
 * What a rule does that alerts on a setting, and knows again how the last record within two weeks told it: an edit
 * sends `on`, which `off` is not, to what has this id below `folder`, a path that may be `spelled` otherwise, and
 * answers name the id by `idName`.
 */
export function remembering({ folder, id, idName, spelled, on, off }) {
  const edit = (clock, body, { path = `${folder}/${id}`, method = "patch", answer } = {}) => call(clock, method, path, body, answer);
  const again = edit("11:40", { ...on, name: "Portal" });
  const before = (...records) => [...earlier(5, records), again];
  const made = { path: folder, method: "POST", answer: { [idName]: id } };
  return [
    quiet("as it was before", before(edit("11:00", on))),
    quiet("as it was before, in another spelling", before(edit("11:00", on, { path: spelled, method: "PATCH" }))),
    quiet("as it was made", before(edit("11:00", on, made))),
    quiet("as an answer told it", before(edit("11:00", null, { answer: on }))),
    quiet("as the answer to an edit of something else told it", before(edit("11:00", { name: "x" }, { answer: on }))),
    quiet("as it was last, and not before that", before(edit("11:00", off), edit("11:01", on))),
    quiet("as it was, with a call between that says nothing of it", before(edit("11:00", on), edit("11:01", { name: "x" }))),
    quiet("as it was just within two weeks", [...earlier(334.9, [edit("11:00", on)]), again]),
    fires("as the first of two was that arrived at once hours later", arriving(30, [...earlier(20, [edit("11:00", on)]), ...earlier(19, [again])]), 1),
    fires("as it was beyond two weeks", [...earlier(335.1, [edit("11:00", on)]), again], 1),
    fires("as it was, but not last", before(edit("11:00", on), edit("11:01", off)), 1),
    fires("as it was, but not as an answer told it last", before(edit("11:00", on), edit("11:01", { name: "x" }, { answer: off })), 1),
    fires("as it is afterwards", [again, edit("11:50", { name: "x" }, { answer: on })], 1),
    fires("as another one was", before(edit("11:00", on, { path: `${folder}/${id.toLowerCase()}` })), 1),
    fires("as something else was", before(edit("11:00", on, { path: `${folder}/${id}/credentials` })), 1),
    fires("as was refused", before(refused(edit("11:00", on))), 1),
    fires("as was looked at", before(edit("11:00", on, { method: "get" })), 1),
    fires("as another kind of record told", before({ ...edit("11:00", on), type: "mgmt_api_read" }), 1),
    fires("as the call itself is answered", [edit("11:40", on, { answer: on })], 1),
    fires("another than before", before(edit("11:00", off)), 1),
    fires("another than an answer told", before(edit("11:00", null, { answer: off })), 1),
    fires("another than the request said, whatever was answered", before(edit("11:00", off, { answer: on })), 1),
  ];
}
