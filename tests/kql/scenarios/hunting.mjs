// What the hunting queries find, and what not.

import { call, changed, earlier, event, fires, quiet, times, user } from "../records.mjs";

const JA4 = (ja4, fields = {}) => ({ security_context: { ja4 }, ...fields });
const entity = (...entities) => [{ entities }];
const from = (country, fields = {}) => ({ location_info: { country_name: country }, ...fields });
const old = (record) => earlier(24 * 14, [{ ...record, date: "2026-11-21T11:59:00.000Z" }]);
const signUps = (count, clock = "11:10") => times(count, (n) => event(clock, n % 2 ? "ss" : "fs"));
const read = changed(call("11:40", "get", "/api/v2/clients/Cl1"), (copy) => {
  copy.type = "mgmt_api_read";
  copy.details.accessedSecrets = ["client_secret"];
});
const stream = call("11:40", "post", "/api/v2/log-streams", { name: "out", sink: { httpEndpoint: "https://x.example" } });
// A call by which a user adds or removes a factor.
const mine = (clock, method, type = "my_account_authentication_method_succeeded") => event(clock, type, {
  details: { operation: "x", request: { method, path: "/me/v1/authentication-methods/passkey|1" } } });

export default {
  "hunting/rare-tls-fingerprints": {
    cases: [
      fires("of three users", times(3, (n) => event("11:10", "fp", JA4("a", user(`u${n}`)))), entity("IP 198.51.100.7")),
      ...["fepotpft", "pwd_leak", "reset_pwd_leak", "limit_wc", "limit_sul", "limit_mu"].map((type) =>
        fires(`of one user (${type})`, [event("11:10", type, JA4("a"))], entity("IP 198.51.100.7"))),
      quiet("of four, of none", [...times(4, (n) => event("11:10", "s", JA4("a", user(`u${n}`)))), event("11:10", "s")]),
      quiet("other events, and old ones", [event("11:10", "sertft", JA4("a")), ...old(event("11:10", "s", JA4("a")))]),
    ],
  },
  "hunting/new-countries-of-users": {
    cases: [
      fires("new", [...earlier(48, [event("11:00", "s", from("A"))]), event("11:10", "s", from("B"))],
        entity("Account jane@example.com", "IP 198.51.100.7")),
      quiet("usual, or of a new user", [...earlier(48, [event("11:00", "s", from("A"))]), event("11:10", "s", from("A")),
        event("11:10", "s", from("B", user("joe@example.com")))]),
      quiet("failed, or nowhere", [...earlier(48, [event("11:00", "s", from("A"))]), event("11:10", "fp", from("B")), event("11:10", "s")]),
    ],
  },
  "hunting/canonical-host-by-client": {
    cases: [
      fires("by its host", [event("11:10", "s", { hostname: "acme.eu.auth0.com" })], 1),
      quiet("by a domain", [event("11:10", "s", { hostname: "login.example.com" }), event("11:10", "sertft", { hostname: "acme.auth0.com" })]),
    ],
  },
  "hunting/sign-up-surge": {
    cases: [
      fires("twenty in an hour", signUps(20), 1),
      quiet("nineteen, or as many each hour", [...signUps(19)]),
      quiet("as many each hour", times(100, (n) => earlier(n, signUps(20))).flat()),
    ],
  },
  "hunting/dashboard-reads": {
    cases: [
      fires("read", [read], entity("Account admin@example.com", "IP 203.0.113.9")),
      quiet("written, or long ago", [{ ...read, type: "sapi" }, ...old(read)]),
    ],
  },
  "hunting/new-log-streams": {
    cases: [
      fires("made", [stream], entity("Account admin@example.com", "IP 203.0.113.9")),
      ...[["post", "/api/v2/actions/actions"], ["patch", "/api/v2/actions/actions/Act1"]].map(([method, path]) => fires("an Action's secret", [
        call("11:40", method, path, { name: "Enrich", secrets: [{ name: "URL", value: "x" }] })], 1)),
      quiet("an Action without secrets", [call("11:40", "patch", "/api/v2/actions/actions/Act1", { code: "x" }),
        call("11:40", "patch", "/api/v2/actions/actions/Act1", { secrets: [] })]),
      quiet("deleted, or something else", [call("11:40", "delete", "/api/v2/log-streams/l1"), call("11:40", "post", "/api/v2/roles")]),
    ],
  },
  "hunting/factors-replaced": {
    cases: [
      fires("replaced", [event("11:10", "gd_unenroll"), event("11:20", "gd_enrollment_complete")],
        entity("Account jane@example.com", "IP 198.51.100.7")),
      fires("replaced by the user's own API", [mine("11:10", "DELETE"), mine("11:20", "POST")],
        entity("Account jane@example.com", "IP 198.51.100.7")),
      quiet("looked at, or refused", [mine("11:10", "GET"), mine("11:20", "POST"), mine("11:30", "DELETE"), mine("11:40", "PATCH"),
        mine("11:50", "POST", "my_account_authentication_method_failed")]),
      quiet("the other way round, of two users, much later", [event("11:20", "gd_unenroll"), event("11:10", "gd_enrollment_complete"),
        event("11:30", "gd_enrollment_complete", user("joe@example.com")),
        ...earlier(24, [event("11:09", "gd_unenroll", user("joe@example.com"))])]),
    ],
  },
};
