// What is done to accounts by the API or by many machines: blocked, taken over, deleted; and to the keys behind all tokens.

import { byProgram, call, changed, event, fires, managed, quiet, set, times, unnamed, user, windowed } from "../records.mjs";

const blocked = (count, { clock = "11:10", from = 0, ...fields } = {}) => times(count, (n) =>
  event(clock, n % 2 ? "limit_wc" : "limit_sul", { ...user(`user${n + from}@example.com`), ip: `203.0.113.${n + from}`, ...fields }));
const halves = (count, make) => (first, second) => [...make(Math.ceil(count / 2), first, 0), ...make(Math.floor(count / 2), second, Math.ceil(count / 2))];

const USER = "/api/v2/users/auth0%7CAb";
const passworded = call("11:40", "patch", USER, { password: "one-that-i-know", connection: "Users" });
const sets = (what, method, path, body, first) => fires(what, [call("11:40", method, path, body)], [{
  title: `Auth0 - admin@example.com set ${what} of 1 users`, entities: ["Account admin@example.com", "IP 203.0.113.9", `Account ${first}`] }]);

const signing = call("11:40", "put", "/api/v2/keys/custom-signing", { keys: [{ kty: "RSA" }] });
const keyed = (what, method, path) => fires(what, [call("11:40", method, path)], [`Medium: Auth0 - admin@example.com ${what}`]);

const deleted = (count, clock = "11:10", from = 0) => times(count, (n) => call(clock, "delete", `/api/v2/users/auth0%7CU${n + from}`));
const mailed = (count, from, path) => times(count, (n) => call("11:10", "delete", `/api/v2/connections/con_Ab/users${path(`joe+${n + from}@example.com`)}`));
const inPath = (mail) => `?email=${encodeURIComponent(mail)}`;
const connection = call("11:40", "delete", "/api/v2/connections/con_Ab");

export default {
  "many-accounts-blocked": {
    cases: [
      fires("twenty, each from an address of its own", blocked(20, { tenant_name: "acme" }), [{
        title: "Auth0 - 20 accounts were blocked within an hour, from 20 addresses",
        severity: "Medium",
        entities: ["CloudApplication acme"],
        details: { Blocks: "20", Count: "20", Addresses: "20", Tenant: "acme", Accounts: JSON.stringify(times(20, (n) => `user${n}@example.com`)) },
      }]),
      fires("of a tenant that is not named, by their ids", blocked(20, { user_name: "" }), [{ entities: ["CloudApplication Auth0"] }]),
      quiet("nineteen, one twice", [...blocked(19), ...blocked(1)]),
      quiet("nineteen, and nobody", [...blocked(19), ...blocked(1, { from: 19, user_name: "", user_id: "" })]),
      quiet("of two tenants", [...blocked(10, { tenant_name: "a" }), ...blocked(10, { from: 10, tenant_name: "b" })]),
      ...unnamed(20, (count, from, fields) => blocked(count, { from, ...fields })),
      quiet("wrong passwords, addresses", [...blocked(20, { type: "fp" }), ...blocked(20)].map((it) => ({ ...it, type: "limit_mu" }))),
      fires("the fuller window", [...blocked(20, { clock: "10:40" }), ...blocked(2, { from: 20 })], [{ details: { Count: "22" } }]),
      ...windowed(halves(20, (count, clock, from) => blocked(count, { clock, from })), 1),
    ],
  },
  "user-credentials-set": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [passworded])),
      fires("a password", [passworded], [{
        title: "Auth0 - admin@example.com set a password of 1 users",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "Account auth0|Ab"],
        details: { What: "a password", Calls: "1", Count: "1", Users: '["auth0|Ab"]' },
      }]),
      fires("of two users, and of one twice", ["a", "b%7cX", "a"].map((id) => call("11:40", "PATCH", `/api/v2/Users//${id}/`, { password: "x" })), [
        { title: "Auth0 - admin@example.com set a password of 2 users", entities: ["Account admin@example.com", "IP 203.0.113.9", "Account a"],
          details: { Calls: "3", Users: '["a","b|X"]' } }]),
      sets("a mail address", "patch", USER, { email: "evil@example.com", email_verified: true }, "auth0|Ab"),
      sets("a phone number", "patch", USER, { phone_number: "+15550001" }, "auth0|Ab"),
      sets("the mail address as verified", "patch", USER, { email_verified: true }, "auth0|Ab"),
      sets("the phone number as verified", "PATCH", USER, { phone_verified: true }, "auth0|Ab"),
      sets("a phone number", "patch", USER, { phone_number: "+15550001", phone_verified: true }, "auth0|Ab"),
      sets("a second factor", "POST", `${USER}/authentication-methods`, { type: "phone", phone_number: "+15550001" }, "auth0|Ab"),
      sets("a ticket for a password", "POST", "/api/v2/tickets/password-change/", { user_id: "auth0|Cd" }, "auth0|Cd"),
      sets("a ticket for a second factor", "POST", "/api/v2/guardian/enrollments/ticket", { user_id: "auth0|Cd" }, "auth0|Cd"),
      fires("known by the mail address alone", [call("11:40", "post", "/api/v2/tickets/password-change", { email: "joe@example.com", connection_id: "con_1" })], [
        { details: { Users: '["joe@example.com"]' } }]),
      fires("by one program, from several addresses and from none", times(3, (n) => ({ ...byProgram(call(`11:4${n}`, "patch", `/api/v2/users/u${n}`, { password: "x" })), ip: ["", "192.0.2.1", "192.0.2.2"][n] })), [{
        title: "Auth0 - robot set a password of 3 users", entities: ["Account robot", "IP 192.0.2.1", "Account u0"],
        details: { Calls: "3", Addresses: '["192.0.2.1","192.0.2.2"]' } }]),
      fires("by two programs, and in two tenants", [byProgram(passworded), { ...byProgram(passworded), client_id: "other" }, { ...byProgram(passworded), tenant_name: "acme" }], 3),
      fires("two things", [passworded, call("11:40", "patch", USER, { email: "x@example.com" })], 2),
      quiet("another change, made, looked at, another thing", [call("11:40", "patch", USER, { name: "x", blocked: false, app_metadata: { password: "x" } }),
        call("11:40", "patch", USER, { email_verified: false }), call("11:40", "patch", USER, { name: "x", app_metadata: { email_verified: true } }),
        call("11:40", "post", "/api/v2/users", { email: "x@example.com", email_verified: true }), call("11:40", "patch", `${USER}/identities`, { email_verified: true }),
        call("11:40", "patch", USER, { name: "x" }, { email_verified: true }),
        call("11:40", "post", USER, { password: "x", email: "x@example.com", phone_number: "x" }), call("11:40", "post", "/api/v2/users", { password: "x", email: "x@example.com" }),
        call("11:40", "patch", `${USER}/identities`, { password: "x", email: "x@example.com", phone_number: "x" }), call("11:40", "get", `${USER}/authentication-methods`),
        call("11:40", "patch", `${USER}/authentication-methods/am_1`), call("11:40", "post", "/api/v2/tickets/email-verification", { user_id: "auth0|Cd" }),
        // Auth0 sends this one to the user.
        call("11:40", "post", "/api/v2/jobs/verification-email", { user_id: "auth0|Cd" }),
        call("11:40", "patch", USER, { phone_verified: false }), call("11:40", "patch", USER, { name: "x", user_metadata: { phone_verified: true } }),
        call("11:40", "patch", USER, { name: "x" }, { phone_verified: true }), call("11:40", "post", "/api/v2/users", { phone_number: "+15550001", phone_verified: true }),
        call("11:40", "patch", `${USER}/identities`, { phone_verified: true }),
        call("11:40", "get", "/api/v2/tickets/password-change"), call("11:40", "get", "/api/v2/guardian/enrollments/ticket"),
        call("11:40", "patch", "/api/v2/clients/auth0%7CAb", { password: "x", email: "x@example.com", phone_number: "x" })]),
      fires("by a program", [byProgram(passworded)], [{ entities: ["Account robot", "IP 192.0.2.44", "Account auth0|Ab"] }]),
      ...managed(passworded, 1),
    ],
  },
  "signing-keys-set": {
    cases: [
      fires("of somebody's own", [signing], [{
        title: "Auth0 - admin@example.com set keys of their own",
        severity: "High",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Change: "set keys of their own", Path: "/api/v2/keys/custom-signing" },
      }]),
      fires("the secret of an API", [call("11:40", "PATCH", "/api/v2/Resource-Servers/api_1/", { signing_alg: "HS256", signing_secret: "one-that-i-know" }),
        call("11:40", "POST", "/api/v2/resource-servers", { signing_secret: "one-that-i-know" })], times(2, () =>
        "High: Auth0 - admin@example.com set the secret that signs the tokens of an API")),
      fires("by each method", ["PUT", "POST", "PATCH"].map((method) => call("11:40", method, "/api/v2/Keys//custom-signing/key_1")), 3),
      keyed("removed the keys of their own", "DELETE", "/api/v2/keys/custom-signing"),
      keyed("changed the signing key for another", "POST", "/api/v2/keys/signing/rotate"),
      keyed("took the signing key back", "PUT", "/api/v2/keys/signing/kid_1/revoke"),
      keyed("changed an encryption key", "POST", "/api/v2/keys/encryption"),
      keyed("changed an encryption key", "DELETE", "/api/v2/keys/encryption/kid_1"),
      quiet("looked at, or another thing", [call("11:40", "get", "/api/v2/keys/custom-signing"), call("11:40", "get", "/api/v2/keys/signing/rotate"),
        call("11:40", "get", "/api/v2/keys/signing/kid_1/revoke"), call("11:40", "get", "/api/v2/keys/encryption"), call("11:40", "put", "/api/v2/keys/custom-signings"), call("11:40", "delete", "/api/v2/keys/custom-signings"),
        call("11:40", "delete", "/api/v2/keys/signing"),
        call("11:40", "patch", "/api/v2/resource-servers/api_1", { signing_alg: "HS256" }), call("11:40", "get", "/api/v2/resource-servers/api_1", { signing_secret: "x" }),
        call("11:40", "patch", "/api/v2/clients/api_1", { signing_secret: "x" }), call("11:40", "post", "/api/v2/keys/encryptions"), call("11:40", "post", "/api/v2/keys/signing")]),
      fires("by a program", [byProgram(signing)], [{ entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(signing, 1),
    ],
  },
  "users-deleted": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [connection])),
      fires("twenty", deleted(20), [{
        title: "Auth0 - admin@example.com deleted 20 users and 0 connections",
        severity: "High",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Users: "20", Connections: "0", Deleted: JSON.stringify(times(20, (n) => `auth0|U${n}`)) },
      }]),
      fires("a connection", [connection], [{ title: "Auth0 - admin@example.com deleted 0 users and 1 connections", details: { Deleted: '["con_Ab"]' } }]),
      fires("in other spellings", [...times(20, (n) => call("11:10", "DELETE", `/api/v2/Users//a%7c${n}/`))], [{ details: { Users: "20" } }]),
      fires("by their e-mail addresses", mailed(20, 0, inPath), [{
        title: "Auth0 - admin@example.com deleted 20 users and 0 connections", severity: "High",
        details: { Users: "20", Connections: "0", Deleted: JSON.stringify(times(20, (n) => `joe+${n}@example.com`)) } }]),
      fires("by their e-mail addresses, in other spellings", [...mailed(10, 0, (mail) => `/?x=1&email=${mail}&y=2`), ...mailed(10, 10, (mail) => `?email=${mail}#x`)].map((it) =>
        changed(it, (copy) => {
          copy.details.request.method = "DELETE";
          copy.details.request.path = copy.details.request.path.replace("connections/con_Ab/users", "Connections//con_Ab/Users");
        })), [{ details: { Users: "20", Connections: "0", Deleted: JSON.stringify(times(20, (n) => `joe+${n}@example.com`)) } }]),
      fires("by their e-mail addresses, beside the path", mailed(20, 0, () => "").map((it, n) =>
        changed(it, (copy) => (copy.details.request.query = { email: `Joe${n}@example.com` }))), [
        { details: { Users: "20", Deleted: JSON.stringify(times(20, (n) => `joe${n}@example.com`)) } }]),
      fires("by e-mail addresses that are not told", mailed(20, 0, () => ""), [{ details: { Users: "20", Connections: "0" } }]),
      fires("in either way", [...deleted(10), ...mailed(10, 0, inPath)], [{ details: { Users: "20", Connections: "0" } }]),
      quiet("nineteen, one twice", [...deleted(19), ...deleted(1)]),
      quiet("nineteen by their e-mail addresses, one twice", [...mailed(19, 0, inPath), ...mailed(1, 0, (mail) => inPath(mail.toUpperCase()))]),
      quiet("nineteen by their e-mail addresses, one twice, beside the path", [...mailed(20, 0, () => "")].map((it, n) =>
        changed(it, (copy) => (copy.details.request.query = { email: n ? `joe${n}@example.com` : "JOE1@example.com" })))),
      quiet("by two, from two addresses", [...deleted(10), ...deleted(10, "11:10", 10).map(byProgram)]),
      fires("by one, from two addresses and from none", [...deleted(10), ...deleted(10, "11:10", 10).map((it, n) => ({ ...it, ip: "", details: {
        ...it.details, request: { ...it.details.request, ip: n ? "192.0.2.1" : "" } } }))], [{ entities: ["Account admin@example.com", "IP 203.0.113.9"] }]),
      fires("the fuller window", [...deleted(20, "10:40"), ...deleted(2, "11:10", 20)], [{ details: { Users: "22" } }]),
      fires("the window with the connection", [...deleted(20, "10:40"), { ...connection, date: "2026-11-21T11:10:00.000Z" }], [{ details: { Users: "20", Connections: "1" } }]),
      quiet("looked at, what is a user's, another thing", [...times(20, (n) => call("11:10", "get", `/api/v2/users/u${n}`)),
        ...times(20, (n) => call("11:10", "delete", `/api/v2/users/u${n}/sessions`)), ...times(20, (n) => call("11:10", "delete", `/api/v2/clients/u${n}`)),
        ...times(20, (n) => call("11:10", "delete", `/api/v2/connections/con_1/clients?email=u${n}`)),
        ...times(20, (n) => call("11:10", "get", `/api/v2/connections/con_1/users?email=u${n}`)),
        ...times(20, (n) => call("11:10", "delete", `/api/v2/connections/con_1/users/u${n}`)), call("11:10", "delete", "/api/v2/roles/con_1")]),
      ...windowed(halves(20, (count, clock, from) => deleted(count, clock, from)), 1),
      ...managed(connection, 1),
    ],
  },
};
