// The connector itself, and what else carries the log away.

import { ago, arriving, beating, call, diagnosed, earlier, event, fires, framed, managed, quiet, set, byProgram } from "../records.mjs";

/** Too much for a row, by either way in. */
const filler = "x".repeat(4_200_000);
const hidden = call("11:40", "post", "/api/v2/client-grants", { filler });

const deleted = call("11:40", "delete", "/api/v2/log-streams/lst_1Ab");

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
      fires("sent elsewhere", [call("11:40", "PATCH", "/api/v2/log-streams/lst_1", {
        sink: { httpEndpoint: "https://evil.example" },
      })], ["High: Auth0 - Log stream lst_1 sent elsewhere by admin@example.com"]),
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
