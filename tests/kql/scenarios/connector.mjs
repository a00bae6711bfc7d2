// The connector itself, and what else carries the log away.

import { ago, arriving, beating, call, changed, diagnosed, earlier, event, fires, framed, managed, quiet, saying, set, byProgram } from "../records.mjs";

/** Too much for a row, by either way in. */
const filler = "x".repeat(4_200_000);
const hidden = call("11:40", "post", "/api/v2/client-grants", { filler });

const silentFor = (hours, tenant) => earlier(hours, [event("12:00", "s", { tenant_name: tenant })]);

/**
 * The case, in a workspace with heartbeats of these tenants: of each, how many minutes before the rules run,
 * how many records were delivered, and what differs from a heartbeat of which the newest is a minute older.
 */
const delivering = (tenants, one) => ({
  ...one,
  beats: Object.entries(tenants).flatMap(([tenant, beats]) => beats.map(([minutes, Delivered_d, other]) => ({
    TimeGenerated: ago(minutes), TenantName_s: tenant, Destination_s: "logs-ingestion", State_s: "ok",
    Delivered_d, NewestRecord_t: ago(minutes + 1), ...other,
  }))),
});
const of = (tenant, clock) => event(clock, "s", { tenant_name: tenant });
const LATELY = [5, 0];

const deleted = call("11:40", "delete", "/api/v2/log-streams/lst_1Ab");

/** Where a sink leads, of all kinds at once. */
const SINK = Object.fromEntries(["httpEndpoint", "awsAccountId", "awsRegion", "azureSubscriptionId", "azureResourceGroup", "azureRegion",
  "datadogRegion", "splunkDomain", "splunkPort", "mixpanelRegion", "mixpanelProjectId"].map((name) => [name, `its ${name}`]));
const sunk = (clock, method, sink, id = "lst_1") => call(clock, method, `/api/v2/log-streams/${id}`, { sink });
const made = call("11:30", "POST", "/api/v2/Log-Streams/", { type: "http", sink: SINK }, { id: "lst_1" });
// A key may be new, which the record does not show.
const resent = sunk("11:40", "patch", { ...SINK, httpAuthorization: "new" });

const filters = (...names) => names.map((name) => ({ type: "category", name }));
const filtered = (clock, names, answer, { method = "patch", id = "lst_1", ...more } = {}) =>
  call(clock, method, `/api/v2/log-streams/${id}`, { filters: filters(...names), ...more }, answer);
const [FAIL, OTHER] = ["auth.login.fail", "other"];
const refiltered = filtered("11:40", [FAIL, OTHER]);
const keeps = (what, records) => fires(what, records, [{ severity: "Low", details: { Change: "given its filters again" } }]);
const loses = (what, records) => fires(what, records, [{ severity: "High", details: { Change: "filtered down" } }]);

const CAP = "Data collection stopped due to daily limit of free data reached. Ingestion status = OverQuota";

export default {
  "connector-silent": {
    cases: [
      fires("never", [], [{
        title: "Auth0 - Connector went silent, last arrival: more than two days ago, or never",
        severity: "Medium",
        entities: ["CloudApplication Auth0"],
        details: { LastArrival: "more than two days ago, or never" },
      }]),
      fires("for four hours", [event("07:59", "s")], [
        "Medium: Auth0 - Connector went silent, last arrival: 2026-11-21T07:59:00.0000000Z"]),
      quiet("not yet four hours", [event("08:01", "s")]),
      quiet("only old records", arriving(230, earlier(10, [event("11:00", "s")]))),
      fires("for two days", earlier(49, [event("12:01", "s")]), [
        "Medium: Auth0 - Connector went silent, last arrival: more than two days ago, or never"]),
      fires("for not quite two days", earlier(48, [event("12:01", "s")]), [
        "Medium: Auth0 - Connector went silent, last arrival: 2026-11-19T12:01:00.0000000Z"]),
      quiet("the newest counts", [event("05:00", "s"), event("11:00", "s"), event("06:00", "s")]),
      beating({ acme: [29.9], globex: [700, 29, 40] }, quiet("nothing happens in any tenant", [])),
      beating({ acme: [31], globex: [5] }, fires("one of two tenants", [event("11:59", "s")], [{
        title: `Auth0 - Connector for acme went silent, last arrival: ${ago(31).replace("000Z", "0000000Z")}`,
        severity: "Medium",
        entities: ["CloudApplication Auth0"],
      }])),
      beating({ acme: [31], globex: [90] }, fires("both tenants, and no records", [], [
        "Medium: Auth0 - Connector for acme went silent, last arrival: 2026-11-21T11:29:00.0000000Z",
        "Medium: Auth0 - Connector for globex went silent, last arrival: 2026-11-21T10:30:00.0000000Z"])),
      beating({ acme: [47 * 60 + 59] }, fires("nearly two days ago", [event("11:59", "s")], 1)),
      beating({ acme: [48 * 60 + 1] }, quiet("no more heartbeats, and records arrive", [event("11:59", "s")])),
      fires("one of two tenants, for more than a day", [...silentFor(25.1, "acme"), event("11:59", "s", { tenant_name: "globex" })], [{
        title: "Auth0 - Connector for acme went silent, last arrival: 2026-11-20T10:54:00.0000000Z",
        details: { Tenant: "acme" },
      }]),
      quiet("one of two tenants, not yet for that long", [...silentFor(24.9, "acme"), event("11:59", "s", { tenant_name: "globex" })]),
      quiet("one of two tenants, for two days", [...silentFor(48.1, "acme"), event("11:59", "s", { tenant_name: "globex" })]),
      quiet("a host that is none any more", [...earlier(26, [event("12:00", "s", { hostname: "old.example.com" })]), event("11:59", "s", { tenant_name: "globex" })]),
      quiet("old records of a tenant arrive", [...arriving(230, silentFor(26, "acme")), event("11:59", "s", { tenant_name: "globex" })]),
      fires("all tenants, one of them for long", [...silentFor(26, "acme"), ...silentFor(5, "globex")], [
        "Medium: Auth0 - Connector went silent, last arrival: 2026-11-21T07:00:00.0000000Z"]),
      beating({ globex: [5] }, fires("a tenant without heartbeats beside one that has some", [...silentFor(26, "acme"), event("11:59", "s", { tenant_name: "globex" })], [
        "Medium: Auth0 - Connector for acme went silent, last arrival: 2026-11-20T10:00:00.0000000Z"])),
      beating({ globex: [5] }, fires("a tenant without heartbeats beside one in which nothing happens", silentFor(26, "acme"), [
        "Medium: Auth0 - Connector for acme went silent, last arrival: 2026-11-20T10:00:00.0000000Z"])),
      beating({ ACME: [5], "globex.eu.auth0.com": [5] }, quiet("nothing happens in tenants that have heartbeats", [
        ...silentFor(26, "acme"), ...silentFor(27, "Globex")])),
      beating({ acme: [31] }, fires("a tenant that had heartbeats, once", [...silentFor(26, "acme"), event("11:59", "s", { tenant_name: "globex" })], [
        { details: { Tenant: "acme", LastArrival: "2026-11-21T11:29:00.0000000Z" } }])),
      delivering({ acme: [[61, 5], LATELY] }, fires("delivered an hour ago, and nothing is there", [], [{
        title: "Auth0 - Connector for acme went silent, last arrival: more than two days ago, or never",
        severity: "Medium",
        entities: ["CloudApplication Auth0"],
        details: { Tenant: "acme", LastArrival: "more than two days ago, or never" },
      }])),
      delivering({ acme: [[61, 0], LATELY] }, quiet("nothing delivered", [])),
      delivering({ acme: [[59, 5], LATELY] }, quiet("delivered less than an hour ago", [])),
      delivering({ acme: [[61, 5, { Destination_s: "event-grid" }], LATELY] }, quiet("delivered elsewhere", [])),
      delivering({ acme: [[300, 5], [61, 1, { Destination_s: "log-analytics" }], LATELY] }, fires("what came before has arrived", [of("acme", "09:00")], [
        "Medium: Auth0 - Connector for acme went silent, last arrival: 2026-11-21T09:00:00.0000000Z"])),
      delivering({ acme: [[61, 5], LATELY] }, quiet("it has arrived", [of("acme", "10:57")])),
      delivering({ acme: [[61, 5], LATELY] }, quiet("it had arrived when half an hour of the run was left", [of("acme", "10:29")])),
      delivering({ acme: [[61, 5], LATELY] }, fires("what arrived was of a run before", [of("acme", "10:28")], 1)),
      delivering({ acme: [[61, 5, { NewestRecord_t: "2026-11-21T09:00:00.000Z" }], LATELY] }, quiet("delivered once more", [of("acme", "09:00")])),
      delivering({ ACME: [[61, 5], LATELY], "globex.eu.auth0.com": [[61, 5], LATELY] }, fires("of one of two tenants nothing arrives", [
        of("Acme", "09:00"), of("globex", "11:00")], [{ details: { Tenant: "ACME" } }])),
      delivering({ acme: [[61, 5], LATELY], "globex.eu.auth0.com": [[61, 5], LATELY] }, fires("nor of one with its host's name", [
        of("acme", "11:00"), of("globex", "09:00")], [{ details: { Tenant: "globex.eu.auth0.com" } }])),
      delivering({ prod: [[61, 5], LATELY] }, quiet("of a tenant that its records name otherwise", [of("acme", "11:00")])),
      delivering({ prod: [[61, 5], LATELY] }, fires("of one that they name otherwise, and nothing else either", [of("acme", "09:00")], [
        "Medium: Auth0 - Connector for prod went silent, last arrival: 2026-11-21T09:00:00.0000000Z"])),
      delivering({ acme: [[61, 5], [31, 0]] }, fires("nor a heartbeat", [of("acme", "09:00")], [
        "Medium: Auth0 - Connector for acme went silent, last arrival: 2026-11-21T11:29:00.0000000Z"])),
      beating({ acme: [48 * 60 + 1] }, fires("no more heartbeats, nor records", [], [
        "Medium: Auth0 - Connector went silent, last arrival: more than two days ago, or never"])),
    ],
  },
  "rows-dropped": {
    cases: [
      quiet("no diagnostics, and records arrive", [event("11:59", "s")]),
      diagnosed({ errors: [[10], [20]] }, fires("an error, twice", [], [{
        title: "Auth0 - Data collection rule auth0-acme: Ingestion: The request is too large.",
        severity: "Medium",
        entities: ["CloudApplication Auth0"],
        details: { Rule: "auth0-acme", Times: "2", Rows: "0" },
      }])),
      diagnosed({ errors: [[10], [20, { OperationName: "Transformation", Message: "x".repeat(300) }]] }, fires("two errors", [], [
        "Medium: Auth0 - Data collection rule auth0-acme: Ingestion: The request is too large.",
        `Medium: Auth0 - Data collection rule auth0-acme: Transformation: ${"x".repeat(120)}`])),
      diagnosed({ errors: [[119, { InputStreamId: "Custom-Auth0AMHealth_CL" }]] }, fires("of heartbeats, nearly two hours ago", [], 1)),
      diagnosed({ errors: [[121]], metrics: [[121]] }, quiet("more than two hours ago", [])),
      diagnosed({ errors: [[10, { InputStreamId: "Custom-Other_CL" }], [10, { InputStreamId: "custom-auth0am_cl" }]] },
        quiet("another stream", [])),
      diagnosed({ metrics: [[10], [20, { Total: 4 }]] }, fires("rows dropped", [], [{
        title: "Auth0 - Data collection rule auth0-acme: rows dropped",
        details: { Rule: "auth0-acme", Times: "2", Rows: "7" },
      }])),
      diagnosed({ metrics: [[119, { Total: 1, _ResourceId: "/x/DataCollectionRules/My-AUTH0-2" }]] }, fires("one row, by a rule in capitals", [], [
        "Medium: Auth0 - Data collection rule my-auth0-2: rows dropped"])),
      diagnosed({ metrics: [[10, { Total: 0 }], [10, { MetricName: "RowsReceived_Count" }],
        [10, { _ResourceId: "/x/datacollectionrules/other" }], [10, { _ResourceId: "/auth0/datacollectionrules/other" }],
        [10, { _ResourceId: "/x/workspaces/auth0" }]] }, quiet("nothing dropped by this rule", [])),
      set("ruleName", "'other'", diagnosed({ metrics: [[10, { _ResourceId: "/x/datacollectionrules/other" }]] },
        fires("another name", [], 1))),
    ],
  },
  "workspace-drops-rows": {
    cases: [
      quiet("a workspace that says nothing, and records arrive", [event("11:59", "s")]),
      // These texts are from Microsoft's page on the Operation table, but for their case, which is not to matter.
      saying([[90, CAP], [30, CAP]], fires("the daily cap, told twice", [], [{
        title: `Auth0 - The workspace drops rows: ${CAP}`,
        severity: "High",
        entities: ["CloudApplication Auth0"],
        details: { Times: "2", FirstTold: "2026-11-21T10:30:00Z" },
      }])),
      saying([[119, "DATA collection stopped due to subscription suspension. Ingestion status = SubscriptionSuspended"]],
        fires("a suspended subscription, nearly two hours ago", [], 1)),
      saying([[10, "The data ingestion volume rate crossed the threshold in your workspace: 6144.00 MB per one minute and DATA has been dropped."]],
        fires("more in a minute than it takes", [], 1)),
      saying([[10, `Data of type AUTH0AM_CL WAS dropped because number of fields 501 is above the limit of 500 custom fields per data type.${"x".repeat(200)}`]],
        fires("no room for a column", [], [
          `High: Auth0 - The workspace drops rows: Data of type AUTH0AM_CL WAS dropped because number of fields 501 is above the limit of 500 custom fields per data type.${"x".repeat(41)}`])),
      saying([
        [121, CAP],
        [10, "Data collection resumed. Ingestion status = RespectQuota"],
        [10, "Data of type Other_CL was dropped because number of fields 501 is above the limit of 500 custom fields per data type."],
        [10, "The following fields' values details_s of type Auth0AM_CL have been trimmed to the max allowed size, 32766 bytes."],
        [10, "The data ingestion volume rate crossed 80% of the threshold in your workspace: 4915.20 MB per one minute."],
      ], quiet("what is long ago, over, of another table, or no loss", [])),
    ],
  },
  "log-stream-stopped": {
    cases: [
      fires("deleted", [deleted], [{
        title: "Auth0 - Log stream lst_1Ab deleted by admin@example.com",
        severity: "High",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Change: "deleted" },
      }]),
      fires("stopped, in each word", ["paused", "suspended", "Disabled"].map((status, n) =>
        call(`11:4${n}`, "PATCH", `/api/v2/Log-Streams//lst_${n}/`, { status })), [
        "High: Auth0 - Log stream lst_0 paused by admin@example.com",
        "High: Auth0 - Log stream lst_1 suspended by admin@example.com",
        "High: Auth0 - Log stream lst_2 Disabled by admin@example.com",
      ]),
      fires("filtered down", [call("11:40", "PATCH", "/api/v2/log-streams/lst_1", {
        filters: [{ type: "category", name: "auth.login.success" }],
      })], ["High: Auth0 - Log stream lst_1 filtered down by admin@example.com"]),
      fires("filtered down while it is active", [call("11:40", "patch", "/api/v2/log-streams/lst_1", {
        status: "active", filters: [{ type: "category", name: "other" }],
      })], 1),
      fires("given the filters that it was made with", [filtered("11:30", [FAIL, OTHER], { id: "lst_1" }, { method: "POST", id: "" }), refiltered], [{
        title: "Auth0 - Log stream lst_1 given its filters again by admin@example.com", severity: "Low", details: { Change: "given its filters again" } }]),
      keeps("given them in another order", [call("11:30", "patch", "/api/v2/log-streams/lst_1", { name: "new" }, { id: "lst_1", filters: filters(OTHER, FAIL) }), refiltered]),
      keeps("given more than it had", [...earlier(5, [filtered("11:30", [OTHER])]), refiltered]),
      loses("given fewer", [...earlier(5, [filtered("11:30", [FAIL, "other.x", "auth", OTHER])]), refiltered]),
      loses("given some where all passed", [...earlier(5, [filtered("11:30", [FAIL, OTHER])]), filtered("11:35", []), refiltered]),
      loses("given others, as the last edit that tells some says", [...earlier(5, [filtered("11:30", [FAIL, OTHER])]),
        ...earlier(4, [filtered("11:30", ["scim.event"])]), call("11:35", "patch", "/api/v2/log-streams/lst_1", { name: "new" }), refiltered]),
      keeps("given them once more, with another edit between", [...earlier(5, [filtered("11:30", [FAIL, OTHER])]),
        call("11:35", "patch", "/api/v2/log-streams/lst_1", { name: "new" }, { id: "lst_1", sink: SINK }), refiltered]),
      fires("given them twice", [filtered("11:35", [FAIL, OTHER]), refiltered], [{ severity: "High" }, { severity: "Low" }]),
      fires("given them at one time with others", [...earlier(5, [filtered("11:30", [FAIL, OTHER])]), filtered("11:40", [OTHER]), refiltered], [
        { severity: "High" }, { severity: "Low" }]),
      loses("given them before it had them", [refiltered, { ...filtered("11:41", [FAIL, OTHER], { id: "lst_1" }, { method: "POST", id: "" }) }]),
      loses("given those of another stream", [...earlier(5, [filtered("11:30", [FAIL, OTHER], null, { id: "lst_2" })]), refiltered]),
      loses("given what was refused", [...earlier(5, [changed(refiltered, (copy) => (copy.details.response = { statusCode: 400 }))]), refiltered]),
      keeps("given its filters within two weeks", [...earlier(335.4, [filtered("11:30", [FAIL, OTHER])]), refiltered]),
      loses("given its filters beyond two weeks", [...earlier(335.6, [filtered("11:30", [FAIL, OTHER])]), refiltered]),
      fires("given its filters and its sink", [made, ...earlier(5, [filtered("11:30", [FAIL, OTHER])]), filtered("11:40", [FAIL, OTHER], null, { sink: SINK })], [
        { severity: "Low", details: { Change: "given its sink again" } }]),
      fires("given its filters and another sink", [made, ...earlier(5, [filtered("11:30", [FAIL, OTHER])]),
        filtered("11:40", [FAIL, OTHER], null, { sink: { httpEndpoint: "https://evil.example" } })], [{ severity: "High", details: { Change: "sent elsewhere" } }]),
      loses("given fewer and its sink", [made, ...earlier(5, [filtered("11:30", [FAIL, OTHER])]), filtered("11:40", [FAIL], null, { sink: SINK })]),
      fires("given its filters and stopped", [...earlier(5, [filtered("11:30", [FAIL, OTHER])]), filtered("11:40", [FAIL, OTHER], null, { status: "paused" })], [
        { severity: "High", details: { Change: "paused" } }]),
      fires("sent elsewhere", [call("11:40", "PATCH", "/api/v2/log-streams/lst_1", {
        sink: { httpEndpoint: "https://evil.example" },
      })], ["High: Auth0 - Log stream lst_1 sent elsewhere by admin@example.com"]),
      fires("given the sink that it was made with", [made, resent], [{
        title: "Auth0 - Log stream lst_1 given its sink again by admin@example.com", severity: "Low", details: { Change: "given its sink again" } }]),
      ...Object.keys(SINK).map((name) => fires(`to another place, by its ${name}`, [made, sunk("11:40", "patch", { ...SINK, [name]: "x" })], [
        { severity: "High", details: { Change: "sent elsewhere" } }])),
      fires("to a place of which the parts run together alike", [sunk("11:10", "patch", { awsAccountId: "12", awsRegion: "3x" }), sunk("11:40", "patch", { awsAccountId: "123", awsRegion: "x" })], [
        { severity: "High" }, { severity: "High" }]),
      fires("given the sink that an edit told", [call("11:30", "patch", "/api/v2/log-streams/lst_1", { name: "new" }, { id: "lst_1", sink: SINK }), resent], [
        { severity: "Low" }]),
      fires("given the sink of before once more", [made, sunk("11:35", "patch", { httpEndpoint: "https://evil.example" }), resent], [
        { severity: "High" }, { severity: "High" }]),
      fires("given it twice", [made, sunk("11:35", "patch", SINK), resent], [{ severity: "Low" }, { severity: "Low" }]),
      fires("given it at one time with another", [made, sunk("11:40", "patch", { httpEndpoint: "https://evil.example" }), resent], [
        { severity: "High" }, { severity: "Low" }]),
      fires("given it before it was made", [resent, { ...made, date: "2026-11-21T11:41:00.000Z" }], [{ severity: "High" }]),
      fires("given that of another stream", [made, sunk("11:40", "patch", SINK, "lst_2")], [{ severity: "High" }]),
      fires("given what was refused, what was looked at, and of what the record hides a part", [
        changed(made, (copy) => (copy.details.response = { statusCode: 400, body: { id: "lst_1" } })), { ...sunk("11:30", "patch", SINK), type: "mgmt_api_read" },
        resent, sunk("11:41", "patch", { httpEndpoint: "https://a.example/in?***" }), sunk("11:42", "patch", { httpEndpoint: "https://a.example/in?***" }),
      ], 3),
      fires("given what hides a part", [sunk("11:41", "patch", { httpEndpoint: "https://a.example/***" }),
        sunk("11:42", "patch", { httpEndpoint: "https://a.example/***" })], [{ severity: "High" }, { severity: "High" }]),
      fires("given twice what has no address that is known", [sunk("11:41", "patch", { port: 1 }), sunk("11:42", "patch", { port: 1 })], [
        { severity: "High" }, { severity: "High" }]),
      fires("just within two weeks", [...earlier(335.4, [made]), resent], [{ severity: "Low" }]),
      fires("beyond two weeks", [...earlier(335.6, [made]), resent], [{ severity: "High" }]),
      quiet("looked at, and its sink made", [call("11:40", "get", "/api/v2/log-streams/lst_1", { sink: { httpEndpoint: "x" } }),
        call("11:40", "post", "/api/v2/log-streams/lst_1", { sink: { httpEndpoint: "x" } }),
        call("11:40", "patch", "/api/v2/log-streams/lst_1", { sink: {} })]),
      quiet("a filter taken away", [call("11:40", "patch", "/api/v2/log-streams/lst_1", { filters: [] })]),
      quiet("made with a filter", [call("11:40", "post", "/api/v2/log-streams/", { filters: [{ name: "other" }], status: "paused" })]),
      quiet("another name, and going again", [call("11:40", "patch", "/api/v2/log-streams/lst_1", { name: "new" }),
        call("11:42", "patch", "/api/v2/log-streams/lst_1", { status: "active" })]),
      fires("by a program, in capitals", [byProgram(call("11:40", "DELETE", "/api/v2/log-streams/lst_1"))], [
        { entities: ["Account robot", "IP 192.0.2.44"] }]),
      quiet("another thing deleted", [call("11:40", "delete", "/api/v2/clients/lst_1")]),
      ...managed(deleted, 1),
    ],
  },
  "record-too-large": {
    cases: [
      fires("a call", [hidden], [{
        title: "Auth0 - Record too large for a row, by admin@example.com",
        severity: "High",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Event: "sapi", Method: "post", Path: "/api/v2/client-grants" },
      }]),
      fires("a sign-in", [event("11:41", "f", { description: filler })], [{
        title: "Auth0 - Record too large for a row, by jane@example.com",
        severity: "Medium",
        entities: ["Account jane@example.com", "IP 198.51.100.7"],
      }]),
      fires("one that even the program could not read", [event("11:39", "sapi", {
        description: "auth0-poller could not read this record, which is larger than 67108864 bytes: its other fields are not here",
      })], 1),
      quiet("a large one that fits", [call("11:40", "post", "/api/v2/client-grants", { filler: "x".repeat(500_000) })]),
      quiet("no record can say it of itself", [event("11:41", "f", { Shortened: "its row takes 1 byte", Shortened_s: "its row takes 1 byte" })]),
      ...framed([hidden], 1),
    ],
  },
};
