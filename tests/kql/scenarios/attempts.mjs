// Many failures: over accounts, addresses, applications and origins.

import { arriving, daily, earlier, event, fires, framed, networked, quiet, times, unnamed, user, windowed } from "../records.mjs";

/** An event of each of these users, from as many addresses as are given. */
const stuffed = (count, { clock = "11:10", from = 0, addresses = 20, type = "fp", ...fields } = {}) =>
  times(count, (n) => event(clock, type, { ...user(`user${n + from}@example.com`), ip: `203.0.113.${(n + from) % addresses}`, ...fields }));
const every = (count, type, { clock = "11:10", from = 0, ...fields } = {}) =>
  times(count, (n) => event(clock, type, { ...user(`user${n + from}@example.com`), client_id: `c${n + from}`, client_name: `C${n + from}`, ...fields }));
/** So many at each of two times. */
const halves = (count, make) => (first, second) => [...make(Math.ceil(count / 2), first, 0), ...make(Math.floor(count / 2), second, Math.ceil(count / 2))];

const FAILURES = ["f", "fp", "fu", "fepft", "fepotpft", "fcoa"];
/** So many failures, of each kind in turn. */
const ofEachKind = (count, make) => times(count, (n) => make(FAILURES[n % FAILURES.length], n)).flat();
const origin = (n) => ({ details: { origin: `https://evil${n}.example` } });
const crossed = (count, clock = "11:10", fields = {}) => times(count, (n) => event(clock, n % 2 ? "fcoa" : "fco", { ...origin(n % 2), ...fields }));
const requests = (count, clock = "11:10", fields = {}) =>
  times(count, (n) => event(clock, ["f", "fpar", "fdeaz", "ciba_start_failed"][n % 4], { details: { error: { message: "Unknown client" } }, ...fields }));

const JA4 = { security_context: { ja3: "a3", ja4: "a4" } };
const shaken = (count, fields = JA4, clock = "11:10") => every(count, "fp", { clock, ...fields });
const usual = (hours, fields = JA4, type = "s") => earlier(hours, [event("12:00", type, fields)]);

const HOST = { hostname: "acme.eu.auth0.com", tenant_name: "acme" };
const custom = (count, fields = {}) => times(count, (n) => event("11:00", n % 2 ? "s" : "scoa", { hostname: "login.example.com", tenant_name: "acme", ip: "192.0.2.5", ...fields }));
const came = (count, fields = {}, clock = "11:10") =>
  times(count, (n) => event(clock, ["s", "scoa", "f", "fp", "fu", "fcoa", "ss", "fs"][n % 8], { ...HOST, ...user(`u${n}@example.com`), ...fields }));

export default {
  "credential-stuffing": {
    cases: [
      fires("at two applications", [...stuffed(25), ...stuffed(25, { from: 25, client_name: "Forum" })], [{ entities: ["CloudApplication Shop"] }]),
      fires("fifty accounts from twenty addresses", stuffed(50, { tenant_name: "acme" }), [{
        title: "Auth0 - 50 accounts were tried from 20 addresses",
        severity: "High",
        entities: ["CloudApplication Shop"],
        details: { Accounts: "50", Addresses: "20", Attempts: "50", UnknownAccounts: "0", Tenant: "acme" },
      }]),
      fires("each kind of failure", ofEachKind(50, (type, from) => stuffed(1, { type, from })), [{ details: { UnknownAccounts: "8" } }]),
      fires("each account thrice", [0, 1, 2].flatMap(() => stuffed(50)), [{ details: { Attempts: "150" } }]),
      quiet("more than thrice", [...[0, 1, 2].flatMap(() => stuffed(50)), ...stuffed(1)]),
      fires("beside a program that has an old password", [...stuffed(50), ...times(200, () => event("11:10", "fp", user("robot@example.com")))], [
        { details: { Accounts: "51", Attempts: "250" } }]),
      fires("some of them more often", [...stuffed(60), ...[0, 1, 2].flatMap(() => stuffed(20))], [{ details: { Accounts: "60", Attempts: "120" } }]),
      fires("half of them five times, the others twice", [...[0, 1].flatMap(() => stuffed(50)), ...[0, 1, 2].flatMap(() => stuffed(25))], [
        { details: { Accounts: "50", Attempts: "175" } }]),
      quiet("each four times", [0, 1, 2, 3].flatMap(() => stuffed(60))),
      quiet("forty-nine accounts", stuffed(49)),
      quiet("nineteen addresses", stuffed(50, { addresses: 19 })),
      quiet("no names or no addresses", [...stuffed(49), ...stuffed(1, { user_name: "" }), ...stuffed(1, { from: 49, ip: null })]),
      quiet("of two tenants", [...stuffed(25, { tenant_name: "a" }), ...stuffed(25, { from: 25, tenant_name: "b" })]),
      ...unnamed(50, (count, from, fields) => stuffed(count, { from, ...fields })),
      quiet("second factors", stuffed(50, { type: "gd_auth_failed" })),
      fires("the fuller window", [...stuffed(50, { clock: "10:40" }), ...stuffed(2, { clock: "11:10", from: 50 })], [{ details: { Accounts: "52" } }]),
      ...windowed(halves(50, (count, clock, from) => stuffed(count, { clock, from })), 1),
    ],
  },
  "failures-at-many-applications": {
    cases: [
      fires("five", every(5, "fp"), [{
        title: "Auth0 - 198.51.100.7 failed at 5 applications",
        severity: "Medium",
        entities: ["IP 198.51.100.7"],
        details: { Count: "5", Attempts: "5", Accounts: "5" },
      }]),
      ...FAILURES.map((type) => fires(`five (${type})`, every(5, type), 1)),
      quiet("four", [...every(4, "fp"), ...every(4, "fp")]),
      quiet("without an application, or from another address", [...every(4, "fp"), event("11:10", "fp", { client_id: "" }),
        ...every(1, "fp", { from: 5, ip: "192.0.2.1" })]),
      quiet("from nowhere", every(5, "fp", { ip: "" })),
      ...networked(every(5, "fp"), "5"),
      quiet("signed in", every(5, "s")),
      fires("the fuller window", [...every(5, "fp", { clock: "10:40" }), ...every(2, "fp", { clock: "11:10", from: 5 })], [{ details: { Count: "7" } }]),
      ...windowed(halves(5, (count, clock, from) => every(count, "fp", { clock, from })), 1),
    ],
  },
  "leaked-password-surge": {
    cases: [
      fires("twenty, of each kind", ["pwd_leak", "signup_pwd_leak", "reset_pwd_leak", "pwd_leak"].flatMap((type, n) =>
        stuffed(5, { type, from: n * 5, tenant_name: "acme" })), [{
        title: "Auth0 - Leaked passwords were used 20 times, from 20 addresses",
        severity: "High",
        entities: ["CloudApplication acme"],
        details: { Records: "20", Addresses: "20", Accounts: "20", Tenant: "acme" },
      }]),
      fires("of a tenant that is not named", stuffed(20, { type: "pwd_leak" }), [{ entities: ["CloudApplication Auth0"] }]),
      quiet("nineteen", stuffed(19, { type: "pwd_leak" })),
      quiet("of two tenants", [...stuffed(10, { type: "pwd_leak", tenant_name: "a" }), ...stuffed(10, { type: "pwd_leak", tenant_name: "b" })]),
      ...unnamed(20, (count, from, fields) => stuffed(count, { type: "pwd_leak", from, ...fields })),
      quiet("wrong passwords", stuffed(20)),
      fires("the fuller window", [...stuffed(20, { type: "pwd_leak", clock: "10:40" }), ...stuffed(2, { type: "pwd_leak" })], [{ details: { Records: "22" } }]),
      ...windowed(halves(20, (count, clock, from) => stuffed(count, { type: "pwd_leak", clock, from })), 1),
    ],
  },
  "cross-origin-failures": {
    cases: [
      fires("twenty", crossed(20), [{
        title: "Auth0 - 198.51.100.7 failed across origins 20 times",
        severity: "Medium",
        entities: ["IP 198.51.100.7"],
        details: { Failures: "20", Origins: '["https://evil0.example","https://evil1.example"]', Accounts: "1" },
      }]),
      fires("the origin in a header, or none", [...crossed(19, "11:10", { details: {} }), ...crossed(1, "11:10", {
        details: { headers: { origin: "https://head.example" } } })], [{ details: { Origins: '["https://head.example"]' } }]),
      quiet("nineteen", crossed(19)),
      ...networked(crossed(20), "f"),
      quiet("from many addresses, or from none", [...crossed(10), ...crossed(10, "11:10", { ip: "192.0.2.1" }), ...crossed(20, "11:10", { ip: "" })]),
      quiet("others", every(20, "fp")),
      fires("the fuller window", [...crossed(20, "10:40"), ...crossed(2)], [{ details: { Failures: "22" } }]),
      ...windowed(halves(20, (count, clock) => crossed(count, clock)), 1),
    ],
  },
  "failed-authorization-requests": {
    cases: [
      fires("thirty", requests(30), [{
        title: "Auth0 - 30 authorization requests of 198.51.100.7 failed",
        severity: "Medium",
        entities: ["IP 198.51.100.7"],
        details: { Requests: "30", Applications: '["shop"]', Reasons: '["Unknown client"]' },
      }]),
      fires("the reason in words", requests(30, "11:10", { details: {}, description: "Callback mismatch" }), [
        { details: { Reasons: '["Callback mismatch"]' } }]),
      quiet("twenty-nine", requests(29)),
      ...networked(requests(30), "f"),
      quiet("from many addresses, or from none", [...requests(15), ...requests(15, "11:10", { ip: "192.0.2.1" }), ...requests(30, "11:10", { ip: "" })]),
      quiet("wrong passwords", every(30, "fp")),
      fires("the fuller window", [...requests(30, "10:40"), ...requests(2)], [{ details: { Requests: "32" } }]),
      ...windowed(halves(30, (count, clock) => requests(count, clock)), 1),
    ],
  },
  "new-tls-fingerprint": {
    cases: [
      fires("from many addresses", shaken(10).map((it, n) => ({ ...it, ip: `192.0.2.${n}` })), [{ entities: ["IP 192.0.2.0"] }]),
      fires("ten accounts", shaken(10), [{
        title: "Auth0 - A TLS fingerprint that is new failed at 10 accounts",
        severity: "High",
        entities: ["IP 198.51.100.7"],
        details: { Fingerprint: "a4", Accounts: "10", Attempts: "10", UserAgents: '[""]' },
      }]),
      fires("the older kind of fingerprint, each kind of failure", ofEachKind(10, (type, from) =>
        every(1, type, { from, security_context: { ja3: "a3" } })), [{ details: { Fingerprint: "a3" } }]),
      ...["pwd_leak", "reset_pwd_leak", "limit_wc", "limit_sul", "limit_mu"].map((type) => fires(`stopped by attack protection (${type})`, every(10, type, JA4), 1)),
      ...["s", "scoa", "sens", "sepft", "seotpft", "seoobft", "sercft", "sepkotpft", "sepkoobft", "sepkrcft"].map((type) => quiet(`usual (${type})`, [...shaken(10), ...usual(48, JA4, type)])),
      quiet("usual just within two weeks", [...shaken(10), ...usual(335.9)]),
      fires("usual before that", [...shaken(10), ...usual(336)], 1),
      fires("usual long before that", [...shaken(10), ...usual(359)], 1),
      quiet("usual days before, as is told late", [...shaken(10), ...arriving(30, usual(72))]),
      quiet("usual a day before", [...shaken(10), ...usual(24.1)]),
      fires("signed in today", [...shaken(10), ...usual(23.9), ...usual(0.5)], 1),
      fires("failed before", [...shaken(10), ...usual(48, JA4, "fp")], 1),
      fires("another one is usual, or none", [...shaken(10), ...usual(48, { security_context: { ja4: "b4" } }), ...usual(48, {})], 1),
      quiet("nine accounts", [...shaken(9), ...shaken(9)]),
      quiet("of no fingerprint", shaken(10, {})),
      quiet("signed in", every(10, "s", JA4)),
      quiet("of two fingerprints", [...shaken(5), ...every(5, "fp", { from: 5, security_context: { ja4: "b4" } })]),
      ...framed(shaken(10), 1),
      ...daily(shaken(10), 1),
    ],
  },
  "tenant-host-used": {
    cases: [
      fires("by two hosts", [...custom(20), ...came(5), ...came(5, { hostname: "acme.us.auth0.com" })], [{ details: { Host: "acme.eu.auth0.com" } }]),
      fires("ten times", [...custom(20), ...came(10)], [{
        title: "Auth0 - 198.51.100.7 came by acme.eu.auth0.com 10 times",
        severity: "Medium",
        entities: ["IP 198.51.100.7"],
        details: { Requests: "10", Accounts: "10", Host: "acme.eu.auth0.com" },
      }]),
      fires("each kind alone", ["s", "scoa", "f", "fp", "fu", "fcoa", "ss", "fs"].flatMap((type, n) =>
        came(10, { type, ip: `192.0.2.1${n}` })).concat(custom(20)), 8),
      fires("each kind of attack that names its host", ["fepft", "fepotpft", "pla", "pwd_leak", "reset_pwd_leak", "limit_wc", "limit_mu", "limit_sul"].flatMap((type, n) =>
        came(10, { type, ip: `192.0.2.1${n}` })).concat(custom(20)), 8),
      fires("in capitals", [...custom(20), ...came(10, { hostname: "ACME.EU.AUTH0.COM" })], 1),
      quiet("nine times", [...custom(20), ...came(9)]),
      ...networked(came(10), "9").map((it) => ({ ...it, records: [...custom(20), ...it.records] })),
      quiet("nine times, each told of before it", [...custom(20), ...came(9), ...came(9, { type: "pla" })]),
      quiet("the tenant has no domain of its own", [...custom(19), ...came(10)]),
      quiet("what the tenant has in two days arrives at once", arriving(30, [...earlier(96, custom(10)), ...earlier(72, [...custom(10), ...came(10)])])),
      quiet("another tenant has", [...custom(20, { tenant_name: "other" }), ...came(10)]),
      quiet("its own host is no domain", [...custom(20, { hostname: "acme.eu.AUTH0.com", ip: "192.0.2.6" }).map((it, n) => ({ ...it, ip: `192.0.2.${n}` })),
        ...custom(20, { hostname: "" }), ...came(10)]),
      quiet("the tenant had a domain of its own more than a day before", [...earlier(24, custom(20)), ...came(10)]),
      quiet("more than a day before", [...custom(20), ...earlier(24, came(9)), ...came(1)]),
      quiet("more than a day late", [...custom(20), ...arriving(1, earlier(24, came(10)))]),
      quiet("by its domain", custom(40)),
      quiet("of many addresses, or of none", [...custom(20), ...came(5), ...came(5, { ip: "192.0.2.9" }), ...came(10, { ip: "" })]),
      quiet("tokens", [...custom(20), ...came(10, { type: "sertft" })]),
      quiet("by its domain's tokens", [...custom(20, { type: "seacft" }), ...came(10)]),
      ...framed([...custom(20), ...came(10)], 1),
      ...daily(came(10), 1).map((it) => ({ ...it, records: [...custom(20), ...it.records] })),
    ],
  },
};
