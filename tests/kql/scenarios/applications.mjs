// What applications may do, and who gets hold of what they are known by.

import {
  arriving, byProgram, call, changed, earlier, event, fires, framed, managed, quiet, remembering, set, times, two, unnamed, windowed,
} from "../records.mjs";

const OWN_TIME = "with the Logs Ingestion API, over which the mutants run, TimeGenerated is the time of the event";
const MANAGEMENT = "https://acme.eu.auth0.com/api/v2/";

const client = (body, { method = "patch", path = "/api/v2/clients/Cl1", answer } = {}) => call("11:40", method, path, body, answer);
const CLIENT = { folder: "/api/v2/clients", id: "Cl1", idName: "client_id", spelled: "/api/v2/Clients//%43l1/" };
const implicit = client({ name: "Portal", grant_types: ["authorization_code", "implicit"] });
const crossOrigin = client({ name: "Portal", cross_origin_authentication: true });

const granted = (clock, scope, more) => call(clock, "post", "/api/v2/client-grants",
  { client_id: "robot", audience: MANAGEMENT, scope, ...more }, { id: "cgr_Ab", client_id: "robot" });
const regranted = (clock, scope, id = "cgr_Ab") => call(clock, "patch", `/api/v2/client-grants/${id}`, { scope });
const fromAll = (clock, scope) => call(clock, "patch", "/api/v2/client-grants/cgr_Ab", { scope, allow_all_scopes: false });
/** A grant that is made in the place of another one. */
const renewed = (scope, fields = {}, clock = "11:40", id = "cgr_New") => {
  const body = { client_id: "robot", audience: MANAGEMENT, scope, ...fields };
  return call(clock, "post", "/api/v2/client-grants", body, { id, client_id: body.client_id });
};
const before = earlier(300, [granted("11:00", ["read:users"])]);

const secret = (clock, path, fields = {}) => changed(call(clock, "get", path), (copy) => {
  copy.type = "mgmt_api_read";
  copy.details.accessedSecrets = ["client_secret"];
  Object.assign(copy, fields);
});
const rotated = call("11:40", "post", "/api/v2/clients/Cl1/rotate-secret");

const explorer = event("11:40", "seccft", { client_name: "API Explorer Application", client_id: "exp", audience: MANAGEMENT });

const made = (clock, n, fields = {}) => ({ ...call(clock, "post", "/api/v2/clients", { name: `app${n}` }), tenant_name: "acme", ...fields });
const registered = (clock, n, fields = {}) => ({
  ...call(clock, "post", "/oidc/register", { client_name: `app${n}` }, { client_id: `c${n}` }),
  description: "Dynamic client registration", tenant_name: "acme", ...fields,
});
const many = (count, make) => times(count, (n) => make(`11:10:${two(n)}`, n));

const byDocument = (clock, n) => changed(call(clock, "post", "/api/v2/clients/cimd/register", { external_client_id: `https://app.example/${n}` },
  { client_id: `cimd${n}` }), (copy) => (copy.details.response.statusCode = 201));
const OPENED = { flags: { enable_dynamic_client_registration: true } };
const DOCUMENTS = { client_id_metadata_document_supported: true };
const settings = (body, clock = "11:40") => call(clock, "patch", "/api/v2/tenants/settings", body);
const ANYBODY = ["Medium: Auth0 - Dynamic registration: anybody may register an application"];
const BY_DOCUMENT = ["Medium: Auth0 - Dynamic registration: anybody may register an application by a document"];

export default {
  "insecure-grant-enabled": {
    cases: [
      fires("implicit", [implicit], [{
        title: "Auth0 - Portal may use the grants implicit",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "CloudApplication Portal"],
        details: { Grants: "implicit" },
      }]),
      fires("both forms of the password", [client({ grant_types: ["password", "http://auth0.com/oauth/grant-type/password-realm"] })], [
        "Medium: Auth0 - Cl1 may use the grants password, http://auth0.com/oauth/grant-type/password-realm"]),
      fires("the password by its endpoint of old", [client({ grant_types: ["http://auth0.com/oauth/legacy/grant-type/ro"] })], [
        { details: { Grants: "http://auth0.com/oauth/legacy/grant-type/ro" } }]),
      fires("of a new application, in other spellings", [
        client({ grant_types: ["password"] }, { method: "POST", path: "/api/v2/Clients/", answer: { name: "New" } }),
        client({ grant_types: ["password"] }, { method: "PATCH", path: "/api/v2//clients//Cl2/" }),
      ], ["Medium: Auth0 - New may use the grants password", "Medium: Auth0 - Cl2 may use the grants password"]),
      quiet("others", [client({ grant_types: ["authorization_code", "refresh_token", "http://auth0.com/oauth/grant-type/passwordless/otp"] }),
        client({ name: "implicit" }), client({ grant_types: [] })]),
      fires("what a new application has unasked", [
        client({ name: "New" }, { method: "post", path: "/api/v2/clients", answer: { grant_types: ["authorization_code", "implicit"] } }),
        client(null, { method: "POST", path: "/api/v2/clients/", answer: { name: "Own", grant_types: ["password"] } }),
      ], ["Medium: Auth0 - New may use the grants implicit", "Medium: Auth0 - Own may use the grants password"]),
      quiet("a new application asks for others", [client({ grant_types: ["authorization_code"] },
        { method: "post", path: "/api/v2/clients", answer: { grant_types: ["implicit"] } })]),
      quiet("only the answer has it", [client({ name: "x" }, { answer: { grant_types: ["implicit"] } })]),
      quiet("looked at, or something else", [client({ grant_types: ["implicit"] }, { method: "get" }),
        client({ grant_types: ["implicit"] }, { path: "/api/v2/clients/Cl1/credentials" }),
        client({ grant_types: ["implicit"] }, { path: "/api/v2/tenants/settings" })]),
      ...remembering({ ...CLIENT, on: { grant_types: ["authorization_code", "implicit"] }, off: { grant_types: ["authorization_code", "implicit-x"] } }),
      fires("one of two that is new", [...earlier(5, [client({ grant_types: ["implicit"] })]), client({ grant_types: ["password", "implicit"] })], [
        { details: { Grants: "password" } }]),
      fires("made twice, without an id", ["11:30", "11:40"].map((clock) => call(clock, "post", "/api/v2/clients", { grant_types: ["implicit"] })), 2),
      fires("by a program", [byProgram(implicit)], [{ entities: ["Account robot", "IP 192.0.2.44", "CloudApplication Portal"] }]),
      ...managed(implicit, 1),
    ],
  },
  "cross-origin-authentication-enabled": {
    cases: [
      fires("enabled", [crossOrigin], [{
        title: "Auth0 - Portal may use cross-origin authentication",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "CloudApplication Portal"],
        details: { Tenant: "" },
      }]),
      fires("by its name of old, of a new one", [
        client({ cross_origin_auth: true }, { method: "POST", path: "/api/v2/clients", answer: { name: "New" } }),
        client({ cross_origin_auth: true }, { method: "PATCH", path: "/api/v2/Clients//Cl1/" }),
      ], ["Medium: Auth0 - New may use cross-origin authentication", "Medium: Auth0 - Cl1 may use cross-origin authentication"]),
      quiet("disabled, not named", [client({ cross_origin_authentication: false }), client({ cross_origin_auth: false }),
        client({ name: "x" }, { answer: { cross_origin_auth: true } })]),
      quiet("looked at, or something else", [client({ cross_origin_auth: true }, { method: "get" }),
        client({ cross_origin_auth: true }, { path: "/api/v2/clients/Cl1/credentials" })]),
      ...remembering({ ...CLIENT, on: { cross_origin_authentication: true }, off: { cross_origin_authentication: false } }),
      quiet("as it was by its name of old", [...earlier(5, [client({ cross_origin_auth: true })]), crossOrigin]),
      quiet("as an answer told it by its name of old", [...earlier(5, [client({ name: "x" }, { answer: { cross_origin_auth: true } })]), crossOrigin]),
      fires("not as an answer told it last by its name of old", [...earlier(5, [crossOrigin]),
        ...earlier(4, [client({ name: "x" }, { answer: { cross_origin_auth: false } })]), crossOrigin], 1),
      quiet("as an answer told it by both names, of which the new one counts", [
        ...earlier(5, [client({ name: "x" }, { answer: { cross_origin_auth: false, cross_origin_authentication: true } })]), crossOrigin]),
      fires("not as it was by its name of old", [...earlier(5, [crossOrigin]), ...earlier(4, [client({ cross_origin_auth: false })]), crossOrigin], 1),
      fires("by one of both names", [client({ cross_origin_authentication: false, cross_origin_auth: true })], 1),
      fires("made twice, without an id", ["11:30", "11:40"].map((clock) => call(clock, "post", "/api/v2/clients", { cross_origin_auth: true })), 2),
      fires("by a program", [byProgram(crossOrigin)], [{ entities: ["Account robot", "IP 192.0.2.44", "CloudApplication Portal"] }]),
      ...managed(crossOrigin, 1),
    ],
  },
  "client-scopes-grew": {
    cases: [
      fires("grown", [...before, regranted("11:40", ["read:users", "update:users"])], [{
        title: "Auth0 - robot got more scopes: update:users",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "CloudApplication robot"],
        details: { NewScopes: "update:users", Count: "1", Audience: MANAGEMENT },
      }]),
      fires("in another spelling, by two", [...before, { ...regranted("11:40", ["a:b", "c:d"]), details: { request: {
        method: "PATCH", path: "/api/v2//Client-Grants/cgr_ab/", body: { scope: ["a:b", "c:d"] } } } }], [
        { title: "Auth0 - robot got more scopes: a:b c:d", details: { Count: "2" } }]),
      fires("by the answer alone", [...before, call("11:40", "patch", "/api/v2/client-grants/cgr_Ab", null,
        { scope: ["read:users", "read:logs"] })], ["Medium: Auth0 - robot got more scopes: read:logs"]),
      fires("to all there are", [...before, call("11:40", "patch", "/api/v2/client-grants/cgr_Ab", { allow_all_scopes: true },
        { scope: ["read:users"], allow_all_scopes: true })], ["Medium: Auth0 - robot got more scopes: all"]),
      fires("to all there are, by the answer alone", [...before, call("11:40", "patch", "/api/v2/client-grants/cgr_Ab", null,
        { allow_all_scopes: true })], ["Medium: Auth0 - robot got more scopes: all"]),
      fires("deleted, and made anew with more", [...before, call("11:30", "DELETE", "/api/v2/client-grants/cgr_Ab"), renewed(["read:users", "update:users"])], [
        { title: "Auth0 - robot got more scopes: update:users", details: { NewScopes: "update:users", Audience: MANAGEMENT } }]),
      fires("deleted, made anew, and grown", [...before, call("11:30", "delete", "/api/v2/client-grants/cgr_Ab"), renewed(["read:users"], {}, "11:35"),
        regranted("11:40", ["read:users", "read:logs"], "cgr_New")], ["Medium: Auth0 - robot got more scopes: read:logs"]),
      quiet("deleted, and made anew as it was", [...before, call("11:30", "delete", "/api/v2/client-grants/cgr_Ab"), renewed(["read:users"])]),
      quiet("deleted, and another one made", [...before, call("11:30", "delete", "/api/v2/client-grants/cgr_Ab"),
        renewed(["a:b"], { client_id: "other" }), renewed(["c:d"], { audience: "https://shop.example" }, "11:41", "cgr_Shop")]),
      quiet("deleted, and another one made for what it does for users", [...before, call("11:30", "delete", "/api/v2/client-grants/cgr_Ab"),
        renewed(["a:b"], { subject_type: "user" })]),
      quiet("of users deleted, and another one made for itself, by the answer", [...earlier(300, [granted("11:00", ["a:b"], { subject_type: "user" })]),
        call("11:30", "delete", "/api/v2/client-grants/cgr_Ab"),
        changed(renewed(["c:d"]), (copy) => (copy.details.response.body.subject_type = "client"))]),
      fires("deleted, and made anew with what it had for users", [...before,
        ...earlier(200, [granted("11:00", ["a:b"], { subject_type: "user" })].map((it) => changed(it, (copy) => (copy.details.response.body.id = "cgr_2")))),
        call("11:30", "delete", "/api/v2/client-grants/cgr_Ab"), renewed(["read:users", "a:b"], { subject_type: "client" })], [
        "Medium: Auth0 - robot got more scopes: a:b"]),
      fires("of users deleted, and made anew with more, by the answer", [
        ...earlier(300, [granted("11:00", ["a:b"])].map((it) => changed(it, (copy) => (copy.details.response.body.subject_type = "user")))),
        call("11:30", "delete", "/api/v2/client-grants/cgr_Ab"), renewed(["a:b", "c:d"], { subject_type: "user" })], [
        "Medium: Auth0 - robot got more scopes: c:d"]),
      quiet("of no scope", [...before, call("11:40", "patch", "/api/v2/client-grants/cgr_Ab", { organization_usage: "allow" })]),
      quiet("all from the beginning", [...earlier(300, [granted("11:00", [], { allow_all_scopes: true })]),
        call("11:40", "patch", "/api/v2/client-grants/cgr_Ab", { allow_all_scopes: true })]),
      quiet("from all there are to a list", [...earlier(300, [granted("11:00", [], { allow_all_scopes: true })]), fromAll("11:40", ["read:users", "read:logs"])]),
      quiet("from all there are to a list, and something else between", [...earlier(300, [granted("11:00", [], { allow_all_scopes: true })]),
        call("11:20", "patch", "/api/v2/client-grants/cgr_Ab", { organization_usage: "allow" }), fromAll("11:40", ["read:users"])]),
      fires("from all there are to none, and to a list", [...earlier(300, [granted("11:00", [], { allow_all_scopes: true })]),
        fromAll("11:20", []), regranted("11:40", ["read:users"])], ["Medium: Auth0 - robot got more scopes: read:users"]),
      fires("a list that had been all grows", [...earlier(300, [granted("11:00", [], { allow_all_scopes: true })]),
        fromAll("11:20", ["read:users"]), regranted("11:40", ["read:users", "read:logs"])], ["Medium: Auth0 - robot got more scopes: read:logs"]),
      quiet("from all there are to a list, by the answer alone", [...earlier(300, [granted("11:00", [], { allow_all_scopes: true })]),
        call("11:40", "patch", "/api/v2/client-grants/cgr_Ab", null, { scope: ["read:users"], allow_all_scopes: false })]),
      fires("of all there are, and another grant to a list", [...earlier(300, [granted("11:00", [], { allow_all_scopes: true })]),
        ...earlier(200, [regranted("11:00", ["a:b"], "cgr_2")]), regranted("11:40", ["c:d"], "cgr_2")], ["Medium: Auth0 - cgr_2 got more scopes: c:d"]),
      fires("all there are after a list, and a list at last", [...before, call("11:20", "patch", "/api/v2/client-grants/cgr_Ab", { allow_all_scopes: true }),
        fromAll("11:40", ["read:users", "read:logs"])], ["Medium: Auth0 - robot got more scopes: all"]),
      fires("the request counts", [...before, call("11:40", "patch", "/api/v2/client-grants/cgr_Ab", { scope: ["read:logs"] },
        { scope: ["x:y"] })], ["Medium: Auth0 - robot got more scopes: read:logs"]),
      fires("the application is not known", [...earlier(300, [regranted("11:00", ["read:users"])]), regranted("11:40", ["read:logs"])], [
        "Medium: Auth0 - cgr_ab got more scopes: read:logs"]),
      fires("made in capitals", [...earlier(300, [changed(granted("11:00", ["read:users"]), (it) => (it.details.request.method = "POST"))]),
        regranted("11:40", ["read:logs"])], ["Medium: Auth0 - robot got more scopes: read:logs"]),
      fires("just within two weeks, the change seen late", [...earlier(335.5, [granted("11:40", ["read:users"])]),
        ...framed([regranted("11:41", ["read:logs"])], 0)[0].records], 1),
      quiet("beyond two weeks", [...earlier(336, [granted("11:40", ["read:users"])]), regranted("11:40", ["read:logs"])]),
      quiet("beyond two weeks and five days", [...earlier(456, [granted("11:40", ["read:users"])]), regranted("11:40", ["read:logs"])]),
      quiet("seen by the run before", [...before, ...framed([regranted("11:40", ["read:logs"])], 0)[1].records]),
      fires("both arrived at once days later", arriving(30, earlier(72, [granted("11:00", ["read:users"]), regranted("11:40", ["read:logs"])])), 1),
      quiet("begun, or no more than it had, or had before", [granted("11:40", ["read:users", "read:logs"]),
        ...earlier(100, [granted("11:00", ["a:b", "c:d"], {})].map((it) => changed(it, (copy) => (copy.details.response.body.id = "cgr_2")))),
        regranted("11:41", ["a:b"], "cgr_2")]),
      quiet("of another grant", [...before, regranted("11:40", ["read:logs"], "cgr_3")]),
      quiet("of none that is named", [...earlier(30, [call("11:00", "post", "/api/v2/client-grants", { scope: ["a:b"] })]),
        call("11:40", "post", "/api/v2/client-grants", { scope: ["c:d"] })]),
      quiet("taken away, refused, something else", [...before,
        call("11:40", "delete", "/api/v2/client-grants/cgr_Ab", { scope: ["read:logs"] }),
        changed(regranted("11:41", ["c:d"]), (copy) => (copy.details.response.statusCode = 400)),
        changed(regranted("11:42", ["e:f"]), (copy) => (copy.type = "mgmt_api_read")),
        call("11:44", "DELETE", "/api/v2/client-grants/cgr_Ab", { scope: ["g:h"] }), call("11:45", "get", "/api/v2/client-grants/cgr_Ab", { scope: ["i:j"] }),
        call("11:43", "patch", "/api/v2/resource-servers/cgr_Ab", { scope: ["read:logs"] })]),
      fires("answered 399, or not at all", [...before,
        changed(regranted("11:41", ["c:d"]), (copy) => (copy.details.response.statusCode = 399)),
        changed(regranted("11:42", ["e:f"]), (copy) => delete copy.details.response)], 2),
    ],
  },
  "client-secret-read": {
    survivors: {
      "Auth0Events(eventcode_in=dynamic(['mgmt_api_read', 'sapi'])) [(eventcode_in=dynamic(['mgmt_api_read', 'sapi'])) -> nothing]":
        "each condition further down names its code",
      "| extend Hour = iff(Happened > ago(lookback), ago(lookback), bin(Happened, 1h)) [1h -> 2h]": OWN_TIME,
      "| extend Hour = iff(Happened > ago(lookback), ago(lookback), bin(Happened, 1h)) [1h -> 0.5h]": OWN_TIME,
    },
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [rotated])),
      fires("one", [secret("11:40", "/api/v2/clients/Cl1")], [{
        title: "Auth0 - admin@example.com read the secret of Cl1, 1 in all",
        severity: "Low",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Reads: "1", Count: "1", Applications: '["Cl1"]' },
      }]),
      fires("four, one twice", [1, 2, 3, 4, 4].map((n) => secret("11:40", `/api/v2/Clients//Cl${n}/`)), [
        { severity: "Low", title: "Auth0 - admin@example.com read the secret of Cl1, 4 in all", details: { Reads: "5", Count: "4" } }]),
      fires("five", [1, 2, 3, 4, 5].map((n) => secret("11:40", `/api/v2/clients/Cl${n}`)), [{ severity: "High", details: { Count: "5" } }]),
      fires("five, before and after the full hour", [1, 2, 3, 4, 5].map((n) => secret(n < 3 ? "11:15" : "10:58", `/api/v2/clients/Cl${n}`)), [
        { severity: "High", details: { Count: "5" } }]),
      fires("all", [secret("11:40", "/api/v2/clients?page=0")], [
        "High: Auth0 - admin@example.com read the secret of all applications, 1 in all"]),
      fires("all of connections", [changed(secret("11:40", "/api/v2/connections?strategy=oidc"), (copy) => (
        copy.details.accessedSecrets = ["options.client_secret"]))], [
        "High: Auth0 - admin@example.com read the secret of all connections, 1 in all"]),
      fires("a new one", [call("11:40", "POST", "/api/v2/clients/Cl1/rotate-secret/")], [
        "Low: Auth0 - admin@example.com read the secret of Cl1, 1 in all"]),
      fires("one of somebody's choice", [call("11:40", "PATCH", "/api/v2/clients/Cl1", { client_secret: "one-that-i-know" })], [
        "Low: Auth0 - admin@example.com read the secret of Cl1, 1 in all"]),
      fires("in the answers to changes of something else", ["Patch", "put"].map((method, n) => changed(
        secret("11:40", `/api/v2/clients/Cl${n}`), (copy) => Object.assign(copy, { type: "sapi" }).details.request.method = method)), [
        { severity: "Low", details: { Count: "2", Applications: '["Cl0","Cl1"]' } }]),
      quiet("in the answers to what made them", [changed(secret("11:40", "/api/v2/clients"), (copy) =>
        Object.assign(copy, { type: "sapi" }).details.request.method = "post")]),
      fires("a key beside it", [call("11:40", "POST", "/api/v2/Clients//Cl1/credentials/", { credential_type: "public_key", pem: "x" })], [
        "Low: Auth0 - admin@example.com read the secret of Cl1, 1 in all"]),
      fires("by two", [secret("11:40", "/api/v2/clients/Cl1"), byProgram(secret("11:41", "/api/v2/clients/Cl1"))], [
        { entities: ["Account admin@example.com", "IP 203.0.113.9"] }, { entities: ["Account robot", "IP 192.0.2.44"] }]),
      fires("of a connection", [changed(secret("11:40", "/api/v2/connections/con_1?fields=options"), (copy) => (
        copy.details.accessedSecrets = ["options.client_secret"]))], [
        "Low: Auth0 - admin@example.com read the secret of connections/con_1, 1 in all"]),
      quiet("another secret, or none", [
        changed(secret("11:40", "/api/v2/connections/con_1"), (copy) => (copy.details.accessedSecrets = ["options.bind_password"])),
        changed(secret("11:40", "/api/v2/clients/Cl1"), (copy) => (copy.details.accessedSecrets = [])),
        changed(secret("11:40", "/api/v2/clients/Cl1"), (copy) => (copy.type = "sapi")),
        call("11:40", "get", "/api/v2/clients/Cl1/rotate-secret"),
        call("11:40", "post", "/api/v2/clients/Cl1"),
        changed(rotated, (copy) => (copy.type = "mgmt_api_read")),
        call("11:40", "patch", "/api/v2/clients/Cl1", { name: "x" }),
        call("11:40", "patch", "/api/v2/clients/Cl1/credentials/cred_1", { client_secret: "x" }),
        call("11:40", "put", "/api/v2/clients/Cl1", { client_secret: "x" }),
        call("11:40", "get", "/api/v2/clients/Cl1/credentials"),
        { ...call("11:40", "patch", "/api/v2/clients/Cl1", { client_secret: "x" }), type: "mgmt_api_read" },
      ]),
      ...managed(rotated, 1).filter(({ what }) => !what.startsWith("another kind")),
    ],
  },
  "api-explorer-token": {
    cases: [
      fires("taken", [explorer, event("11:45", "seccft", { ...explorer, date: "2026-11-21T11:45:00.000Z" })], [{
        title: "Auth0 - API Explorer Application gave out 2 tokens",
        severity: "Medium",
        entities: ["IP 198.51.100.7", "CloudApplication API Explorer Application"],
        details: { Tokens: "2", Audience: MANAGEMENT, Tenant: "" },
      }]),
      fires("in other words", [{ ...explorer, client_name: "api explorer client" }], 1),
      quiet("another application, or no token", [{ ...explorer, client_name: "Shop API Explorer" }, { ...explorer, type: "feccft" }]),
      ...framed([explorer], 1),
    ],
  },
  "clients-created-in-a-row": {
    cases: [
      fires("ten", many(10, made), [{
        title: "Auth0 - 10 applications were created within an hour",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Clients: "10", Registered: "0", Applications: JSON.stringify(times(10, (n) => `app${n}`)) },
      }]),
      fires("registered, and made", [...many(6, registered), ...many(4, made)], [{ details: { Clients: "10", Registered: "6" } }]),
      fires("registered, as one of both tells", [
        ...many(5, (clock, n) => changed(registered(clock, n, { description: "DYNAMIC client registration" }), (copy) =>
          (copy.details.request.path = "/x"))),
        ...many(5, (clock, n) => changed(registered(clock, n, { description: "x" }), (copy) =>
          (copy.details.request.path = "/OIDC/Register"))),
      ], [{ details: { Registered: "10" } }]),
      fires("registered elsewhere", many(10, (clock, n) => changed(registered(clock, n), (copy) => (copy.details.request.path = "/x"))), [
        { details: { Registered: "10" } }]),
      fires("by documents", many(10, byDocument), [{ details: { Clients: "10", Registered: "0", Applications: JSON.stringify(times(10, (n) => `cimd${n}`)) } }]),
      fires("by documents, without an answer", many(10, (clock, n) => changed(byDocument(clock, n), (copy) => delete copy.details.response)), 1),
      quiet("documents read anew", many(10, (clock, n) => changed(byDocument(clock, n), (copy) => (copy.details.response.statusCode = 200)))),
      quiet("documents looked at", many(10, (clock, n) => changed(byDocument(clock, n), (copy) => (copy.details.request.path = "/api/v2/clients/cimd/preview")))),
      fires("by nobody, from nowhere", many(10, (clock, n) => changed(registered(clock, n), (copy) => {
        Object.assign(copy, { user_id: "", client_id: n ? "" : "first", ip: n ? null : "192.0.2.9" });
        delete copy.details.request.auth;
        delete copy.details.request.ip;
      })), [{ entities: ["Account first", "IP 192.0.2.9"] }]),
      fires("by two", [...many(5, made), ...many(5, made).map(byProgram)], [{ entities: ["Account admin@example.com", "IP 203.0.113.9"] }]),
      fires("the fuller window", [...many(10, (clock, n) => made(`10:${50 + (n % 10)}`, n)), ...many(3, made)], [{ details: { Clients: "13" } }]),
      fires("in capitals", many(10, (clock, n) => changed(made(clock, n), (copy) => (copy.details.request.method = "POST"))), 1),
      quiet("nine", many(9, made)),
      quiet("of two tenants", [...many(5, made), ...many(5, (clock, n) => made(clock, n, { tenant_name: "other" }))]),
      ...unnamed(10, (count, from, fields) => many(count, (clock, n) => made(clock, n + from, { tenant_name: null, ...fields }))),
      quiet("changed, or something else", many(10, (clock, n) => call(clock, "patch", `/api/v2/clients/c${n}`, {}))
        .concat(many(10, (clock) => call(clock, "post", "/api/v2/roles", {})), many(10, (clock) => call(clock, "get", "/api/v2/clients")))),
      quiet("refused", many(10, (clock, n) => changed(made(clock, n), (copy) => (copy.details.response.statusCode = 400)))),
      fires("answered 399, or not at all", many(10, (clock, n) => changed(made(clock, n), (copy) => {
        if (n % 2) copy.details.response.statusCode = 399;
        else delete copy.details.response;
      })), 1),
      quiet("read", many(10, (clock, n) => made(clock, n, { type: "mgmt_api_read" }))),
      ...windowed((first, second) => [...times(5, (n) => made(first, n)), ...times(5, (n) => made(second, n + 5))], 1),
    ],
  },
  "dynamic-client-registration": {
    cases: [
      fires("used", [registered("11:40", 1)], [{
        title: "Auth0 - Dynamic registration: an application registered itself",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "CloudApplication app1"],
        details: { Change: "an application registered itself", Application: "app1", Tenant: "acme" },
      }]),
      fires("as one of both tells", [registered("11:40", 1, { description: "DYNAMIC client registration" }),
        registered("11:40", 1, { description: "x" }),
        changed(registered("11:40", 1), (copy) => (copy.details.request.path = "/x")),
        changed(registered("11:40", 1, { description: "DYNAMIC client registration" }), (copy) => (copy.details.request.path = "/x")),
        changed(registered("11:40", 1, { description: "x" }), (copy) => (copy.details.request.path = "/OIDC/Register"))], 5),
      fires("named by the answer", [changed(registered("11:40", 1), (copy) => (copy.details.request.body = {}))], [
        { details: { Application: "c1" } }]),
      fires("switched on", [call("11:40", "PATCH", "/api/v2/tenants/settings", { flags: { enable_dynamic_client_registration: true } })], [
        "Medium: Auth0 - Dynamic registration: anybody may register an application"]),
      fires("by documents, switched on", [settings(DOCUMENTS)], BY_DOCUMENT),
      fires("both switched on", [settings({ ...OPENED, ...DOCUMENTS })], [...ANYBODY, ...BY_DOCUMENT]),
      quiet("switched off, or something else", [
        call("11:40", "patch", "/api/v2/tenants/settings", { flags: { enable_dynamic_client_registration: false } }),
        call("11:40", "patch", "/api/v2/tenants/settings", { flags: { enable_sso: true } }),
        call("11:40", "post", "/api/v2/tenants/settings", { flags: { enable_dynamic_client_registration: true } }),
        call("11:40", "patch", "/api/v2/clients", DOCUMENTS), settings({ client_id_metadata_document_supported: false }),
        call("11:40", "patch", "/api/v2/clients", { flags: { enable_dynamic_client_registration: true } }),
        call("11:40", "post", "/api/v2/clients", { name: "x" })]),
      ...managed(registered("11:40", 1), 1),
    ],
  },
};
