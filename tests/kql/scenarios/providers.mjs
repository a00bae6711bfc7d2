// Who else gets what the tenant sends, or is believed: providers, exports, identity providers, addresses.

import { arriving, byProgram, call, changed, earlier, fires, managed, quiet, refused, set } from "../records.mjs";

const provided = call("11:40", "patch", "/api/v2/emails/provider", { name: "smtp", credentials: { smtp_host: "mail.evil.example" } });
const sets = (what, method, path, body, title) => fires(what, [call("11:40", method, path, body)], [`High: Auth0 - admin@example.com set ${title}`]);
const exported = call("11:40", "post", "/api/v2/jobs/users-exports", { connection_id: "con_1", format: "csv" }, { id: "job_1", type: "users_export" });
const added = call("11:40", "post", "/api/v2/connections", { name: "evil", strategy: "samlp", options: { signInEndpoint: "https://idp.evil.example" } });
const told = (options, path = "/api/v2/connections/con_Ab", method = "patch") => call("11:40", method, path, { options });
const TOLD = ["signInEndpoint", "signingCert", "cert", "thumbprints", "metadataUrl", "metadataXml", "fedMetadataXml", "adfs_server", "issuer",
  "authorization_endpoint", "token_endpoint", "jwks_uri", "discovery_url", "oidc_metadata", "authorizationURL", "tokenURL", "domain",
  "tenant_domain", "domain_aliases", "pingFederateBaseUrl", "userinfo_endpoint"];
// Each lets in whom any directory at Microsoft vouches for.
const ANY_DIRECTORY = ["waad_common_endpoint", "useCommonEndpoint"];
// Whether addresses that a directory at Microsoft names count as verified.
const [TRUSTED, DOUBTED] = ["always_set_emails_as_verified", "never_set_emails_as_verified"];

/** An edit of a connection, with these options; or another call of one, with an answer. */
const edited = (clock, options, answer, { path = "/api/v2/connections/con_Ab", method = "patch" } = {}) => call(clock, method, path, options && { options }, answer);
/** What a rule does that knows again what a connection was told last, by an edit that sends all options, and that something else is another. */
const known = (options, other) => {
  const again = edited("11:40", { ...options, template: "new" });
  const before = (...records) => [...earlier(5, records), again];
  const made = { path: "/api/v2/connections", method: "post" };
  return [
    quiet("as it was before", before(edited("11:00", options))),
    quiet("as it was before, in another spelling", before(edited("11:00", options, undefined, { path: "/api/v2/Connections//con_Ab/", method: "PATCH" }))),
    quiet("as it was made", before(edited("11:00", options, { id: "con_Ab" }, made))),
    quiet("as an answer told it", before(edited("11:00", null, { id: "con_Ab", options }))),
    quiet("as the answer to an edit of something else told it", before(edited("11:00", { template: "old" }, { options }))),
    set("expectedClients", "dynamic(['robot'])", quiet("as a program told it that is expected", before(byProgram(edited("11:00", options))))),
    quiet("as it was last, and not before that", before(edited("11:00", other), edited("11:01", options))),
    quiet("as it was, with a call between that says nothing of it", before(edited("11:00", options), edited("11:01", { template: "old" }))),
    quiet("as it was just within two weeks", [...earlier(334.9, [edited("11:00", options)]), again]),
    fires("as the first of two was that arrived at once hours later", arriving(30, [...earlier(20, [edited("11:00", options)]), ...earlier(19, [again])]), 1),
    fires("as it was beyond two weeks", [...earlier(335.1, [edited("11:00", options)]), again], 1),
    fires("as it was, but not last", before(edited("11:00", options), edited("11:01", other)), 1),
    fires("as it is afterwards", [again, edited("11:50", { template: "old" }, { options })], 1),
    fires("as another connection was told", before(edited("11:00", options, undefined, { path: "/api/v2/connections/con_ab" })), 1),
    fires("as something else was told", before(edited("11:00", options, undefined, { path: "/api/v2/connections/con_Ab/clients" })), 1),
    fires("as was refused", before(refused(edited("11:00", options))), 1),
    fires("as was looked at", before(edited("11:00", options, undefined, { method: "get" })), 1),
    fires("as another kind of record told", before({ ...edited("11:00", options), type: "mgmt_api_read" }), 1),
    fires("as the call itself is answered", [edited("11:40", options, { options })], 1),
    fires("another than before", before(edited("11:00", other)), 1),
    fires("another than an answer told", before(edited("11:00", null, { options: other })), 1),
  ];
};

const urls = (clock, body, answer, path = "/api/v2/clients/Cl1", method = "patch") => call(clock, method, path, body, answer);
const [had] = earlier(5, [urls("11:00", { callbacks: ["https://app.example.com/cb"] })]);
const led = urls("11:40", { callbacks: ["https://app.example.com/cb", "https://evil.example/cb"] });
const leads = (what, records, severity, origins) => fires(what, records, [{ severity, details: { Origins: JSON.stringify(origins) } }]);

export default {
  "message-provider-set": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [provided])),
      fires("of e-mail", [provided], [{
        title: "Auth0 - admin@example.com set the provider of e-mail: smtp",
        severity: "High",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { What: "the provider of e-mail", Provider: "smtp" },
      }]),
      sets("of e-mail, a new one", "POST", "/api/v2/Emails//Provider/", {}, "the provider of e-mail: provider"),
      sets("of texts, a new one", "post", "/api/v2/branding/phone/providers", { name: "twilio" }, "a provider of texts and calls: twilio"),
      sets("of texts", "PATCH", "/api/v2/branding/phone/providers/pro_1", { configuration: {} }, "a provider of texts and calls: pro_1"),
      sets("of texts for second factors", "put", "/api/v2/guardian/factors/sms/providers/twilio", { sid: "AC1" },
        "the provider of texts and calls for second factors: twilio"),
      sets("chosen for second factors", "PUT", "/api/v2/guardian/factors/phone/selected-provider", { provider: "phone-message-hook" },
        "the provider of texts and calls for second factors: phone-message-hook"),
      sets("of push notifications", "put", "/api/v2/guardian/factors/push-notification/providers/sns", {}, "the provider of push notifications: sns"),
      sets("chosen for push notifications", "put", "/api/v2/guardian/factors/push-notification/selected-provider", { provider: "direct" },
        "the provider of push notifications: direct"),
      sets("of second factors, a new one", "PUT", "/api/v2/Guardian//factors/duo/settings/", { ikey: "DI1", skey: "x", host: "api-evil.duosecurity.com" },
        "the account at Duo for second factors: api-evil.duosecurity.com"),
      sets("of second factors", "patch", "/api/v2/guardian/factors/duo/settings", { skey: "x" }, "the account at Duo for second factors: settings"),
      fires("of second factors, as the answer tells", [call("11:40", "patch", "/api/v2/guardian/factors/duo/settings", { ikey: "DI1" },
        { ikey: "DI1", host: "api-evil.duosecurity.com" })], [{ details: { Provider: "api-evil.duosecurity.com" } }]),
      sets("a gateway", "patch", "/api/v2/connections/con_1", { options: { gateway_url: "https://evil.example" } }, "the gateway of a connection: con_1"),
      sets("another account", "post", "/api/v2/connections", { name: "sms", options: { twilio_sid: "AC1" } }, "the gateway of a connection: sms"),
      ...known({ gateway_url: "https://sms.example.com" }, { gateway_url: "https://evil.example" }),
      ...known({ provider: "twilio", twilio_sid: "AC1", gateway_url: "AC2" }, { provider: "twilio", twilio_sid: "AC2", gateway_url: "AC1" }),
      fires("who of two carries them", [...earlier(5, [edited("11:00", { provider: "sms_gateway", twilio_sid: "AC1", gateway_url: "https://sms.example.com" })]),
        edited("11:40", { provider: "twilio", twilio_sid: "AC1", gateway_url: "https://sms.example.com" })], 1),
      fires("a gateway of which a part is masked", ["11:00", "11:40"].map((clock) => edited(clock, { gateway_url: "https://sms.example.com/?key=***" })), 2),
      fires("made twice, without an id", ["11:00", "11:40"].map((clock) =>
        edited(clock, { twilio_sid: "AC1" }, undefined, { path: "/api/v2/connections", method: "post" })), 2),
      fires("another provider that is set twice", [...earlier(5, [provided]), provided], 1),
      fires("named by the answer", [call("11:40", "patch", "/api/v2/branding/phone/providers/pro_1", {}, { name: "custom" })], [{ details: { Provider: "custom" } }]),
      quiet("Auth0's own chosen", [["phone", "Auth0"], ["sms", "auth0"], ["push-notification", "guardian"]].map(([factor, provider]) =>
        call("11:40", "put", `/api/v2/guardian/factors/${factor}/selected-provider`, { provider }))),
      sets("with a name like Auth0's own", "post", "/api/v2/branding/phone/providers", { name: "auth0", provider: "auth0" }, "a provider of texts and calls: auth0"),
      quiet("looked at, tried, taken out, or another thing", [
        call("11:40", "get", "/api/v2/emails/provider"), call("11:40", "delete", "/api/v2/emails/provider"),
        call("11:40", "post", "/api/v2/branding/phone/providers/pro_1/try"), call("11:40", "put", "/api/v2/guardian/factors/sms", { enabled: true }),
        call("11:40", "get", "/api/v2/guardian/factors/duo/settings"), call("11:40", "put", "/api/v2/guardian/factors/duo", { enabled: true }),
        call("11:40", "put", "/api/v2/guardian/factors/sms/templates", { enrollment_message: "x" }), told({ brute_force_protection: true }),
        told({ gateway_url: "x", twilio_sid: "x" }, "/api/v2/connections/con_1/users"), told({ gateway_url: "" }),
      ]),
      fires("by a program", [byProgram(provided)], [{ entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(provided, 1),
    ],
  },
  "users-exported": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [exported])),
      fires("of a connection", [exported], [{
        title: "Auth0 - admin@example.com exported users of con_1",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Change: "exported", Connection: "con_1" },
      }]),
      fires("of all, in another spelling", [call("11:40", "POST", "/api/v2/Jobs//Users-Exports/", { format: "json" })], [
        "Medium: Auth0 - admin@example.com exported users of all connections"]),
      fires("imported", [call("11:40", "post", "/api/v2/jobs/users-imports", null, { connection_id: "con_2" })], [
        "Medium: Auth0 - admin@example.com imported users of con_2"]),
      quiet("looked at, or another job", [call("11:40", "get", "/api/v2/jobs/users-exports"), call("11:40", "post", "/api/v2/jobs/verification-email"),
        call("11:40", "post", "/api/v2/jobs/users-exports/job_1")]),
      fires("by a program", [byProgram(exported)], [{ entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(exported, 1),
    ],
  },
  "identity-provider-set": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [added])),
      fires("added", [added], [{
        title: "Auth0 - admin@example.com added the identity provider evil",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Change: "added the identity provider", Connection: "evil", Kind: "samlp" },
      }]),
      fires("of a kind that nobody knows, or is not told", [call("11:40", "POST", "/api/v2/Connections/", { strategy: "next" }),
        call("11:40", "post", "/api/v2/connections", null, { name: "told" })], 2),
      ...TOLD.map((name) => fires(`changed (${name})`, [told({ [name]: "***" })], ["Medium: Auth0 - admin@example.com changed the identity provider con_Ab"])),
      fires("changed, in capitals", [told({ issuer: "x" }, "/api/v2/Connections//con_Ab/", "PATCH")], 1),
      fires("three by one deployment, one of them twice, from two addresses and from none", ["b", "a", "c", "a"].map((id, n) => ({
        ...byProgram(told({ issuer: "x" }, `/api/v2/connections/con_${id}`)), ip: ["", "192.0.2.1", "192.0.2.2", "192.0.2.1"][n] })), [{
        title: "Auth0 - robot changed the identity provider con_b and 2 more", entities: ["Account robot", "IP 192.0.2.1"],
        details: { Calls: "4", Connections: '["con_b","con_a","con_c"]', Addresses: '["192.0.2.1","192.0.2.2"]' } }]),
      fires("two", ["a", "b"].map((id) => told({ issuer: "x" }, `/api/v2/connections/con_${id}`)), [
        "Medium: Auth0 - admin@example.com changed the identity provider con_a and 1 more"]),
      fires("by two programs, and in two tenants", [byProgram(added), { ...byProgram(added), client_id: "other" }, { ...byProgram(added), tenant_name: "acme" }], 3),
      fires("added and changed", [added, told({ issuer: "x" })], 2),
      ...known({ issuer: "https://idp.example.com", signingCert: "MII" }, { issuer: "https://evil.example", signingCert: "MII" }),
      ...TOLD.map((name) => quiet(`as it was (${name})`, [...earlier(5, [told({ [name]: ["x"] })]), told({ [name]: ["x"], template: "new" })])),
      ...TOLD.map((name) => fires(`another (${name})`, [...earlier(5, [told({ [name]: ["x"], a: "x" })]), told({ [name]: ["y"], a: "x" })], 1)),
      ...ANY_DIRECTORY.flatMap((name) => [
        fires(`any directory (${name})`, [told({ [name]: true })], ["Medium: Auth0 - admin@example.com changed the identity provider con_Ab"]),
        fires(`any directory, after one (${name})`, [...earlier(5, [told({ domain: "x", [name]: false })]), told({ domain: "x", [name]: true })], 1),
        quiet(`any directory, as before (${name})`, [...earlier(5, [told({ domain: "x", [name]: true })]), told({ domain: "x", [name]: true })]),
        quiet(`one directory, as before (${name})`, [...earlier(5, [told({ domain: "x" })]), told({ domain: "x", [name]: false })]),
        quiet(`not any directory (${name})`, [told({ [name]: false })]),
      ]),
      fires("every address as verified", [told({ should_trust_email_verified_connection: TRUSTED })], ["Medium: Auth0 - admin@example.com changed the identity provider con_Ab"]),
      fires("every address as verified, after none", [...earlier(5, [told({ domain: "x", should_trust_email_verified_connection: DOUBTED })]),
        told({ domain: "x", should_trust_email_verified_connection: TRUSTED })], 1),
      quiet("every address as verified, as before", [...earlier(5, [told({ domain: "x", should_trust_email_verified_connection: TRUSTED })]),
        told({ domain: "x", should_trust_email_verified_connection: TRUSTED })]),
      quiet("no address as verified", [told({ should_trust_email_verified_connection: DOUBTED }), told({ name: '"should_trust_email_verified_connection": "always"' })]),
      quiet("no address as verified, as before", [...earlier(5, [told({ domain: "x" })]), told({ domain: "x", should_trust_email_verified_connection: DOUBTED })]),
      // Who does what the alert asks for does not get another one.
      ...[["should_trust_email_verified_connection", TRUSTED, DOUBTED], ["waad_common_endpoint", true, false], ["useCommonEndpoint", true, false]].flatMap(([name, on, off]) => [
        quiet(`trust taken back (${name})`, [...earlier(5, [told({ domain: "x", [name]: on })]), told({ domain: "x", [name]: off })]),
        quiet(`trust taken back, which an answer told (${name})`, [...earlier(5, [edited("11:00", { template: "old" }, { options: { domain: "x", [name]: on } })]),
          told({ domain: "x", [name]: off })]),
        quiet(`trust left out (${name})`, [...earlier(5, [told({ domain: "x", [name]: on })]), told({ domain: "x" })]),
        quiet(`trust as an answer told it (${name})`, [...earlier(5, [edited("11:00", { template: "old" }, { options: { domain: "x", [name]: on } })]),
          told({ domain: "x", [name]: on })]),
        quiet(`nothing but trust, as before (${name})`, [...earlier(5, [told({ [name]: on })]), told({ [name]: on })]),
        fires(`trust taken back, and another domain (${name})`, [...earlier(5, [told({ domain: "x", [name]: on })]), told({ domain: "y", [name]: off })], 1),
        fires(`nothing but trust, where an answer told a domain too (${name})`, [...earlier(5, [edited("11:00", { template: "old" }, { options: { domain: "x", [name]: on } })]),
          told({ [name]: on })], 1),
      ]),
      ...ANY_DIRECTORY.flatMap((name) => [
        fires(`one kind of trust for the other (${name})`, [...earlier(5, [told({ domain: "x", should_trust_email_verified_connection: TRUSTED })]),
          told({ domain: "x", [name]: true })], 1),
        fires(`the other kind of trust (${name})`, [...earlier(5, [told({ domain: "x", [name]: true })]),
          told({ domain: "x", should_trust_email_verified_connection: TRUSTED })], 1),
        quiet(`both kinds of trust, as before (${name})`, [...earlier(5, [told({ domain: "x", [name]: true, should_trust_email_verified_connection: TRUSTED })]),
          told({ domain: "x", [name]: true, should_trust_email_verified_connection: TRUSTED })]),
      ]),
      fires("what is masked", [...earlier(5, [told({ issuer: "x", signingCert: "***" })]), told({ issuer: "x", signingCert: "***" })], 1),
      fires("what was told of something below, and nothing else", [...earlier(5, [told({ own: { issuer: "x" } })]), told({ own: { issuer: "y" } })], 1),
      fires("the name of another place", [...earlier(5, [told({ domain: "x" })]), told({ tenant_domain: "x" })], 1),
      fires("a ticket", [call("11:40", "POST", "/api/v2/self-service-profiles/ssp_1/sso-ticket", {})], [
        "Medium: Auth0 - admin@example.com gave a ticket to set up an identity provider with ssp_1"]),
      fires("a token", [call("11:40", "POST", "/api/v2/connections/con_1/scim-configuration/tokens", {})], [
        "Medium: Auth0 - admin@example.com made a token that brings users into con_1"]),
      quiet("where Auth0 itself sees the password or sends the code", ["auth0", "SMS", "email"].map((strategy) =>
        call("11:40", "post", "/api/v2/connections", { strategy, options: { issuer: "x" } }))),
      quiet("another change, looked at, or another thing", [told({ brute_force_protection: true, name: 'the "issuer" : x' }), call("11:40", "get", "/api/v2/connections"),
        told({ issuer: "x" }, "/api/v2/connections/con_1", "get"), told({ issuer: "x" }, "/api/v2/connections/con_1/clients"),
        told({ issuer: "x" }, "/api/v2/clients/con_1"), call("11:40", "post", "/api/v2/clients", { strategy: "samlp" }),
        call("11:40", "get", "/api/v2/self-service-profiles/ssp_1/sso-ticket"), call("11:40", "post", "/api/v2/self-service-profiles"),
        call("11:40", "get", "/api/v2/connections/con_1/scim-configuration/tokens"), call("11:40", "post", "/api/v2/connections/con_1/scim-configuration")]),
      fires("by a program", [byProgram(added)], [{ entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(added, 1),
    ],
  },
  "application-urls-set": {
    cases: [
      set("known", "dynamic(['https://evil.example'])", quiet("a known one", [had, led])),
      fires("a new host", [had, changed(led, (copy) => (copy.details.request.body.name = "Portal"))], [{
        title: "Auth0 - Portal may lead users to https://evil.example",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "CloudApplication Portal"],
        details: { Origins: '["https://evil.example"]', Count: "1" },
      }]),
      leads("in each list, and spelling", [had, urls("11:40", {
        callbacks: ["HTTPS://a.example/cb?x", "com.example.app+1.x-y://b.example"], allowed_origins: ["https://c.example#x"], web_origins: ["https://d.example"],
        initiate_login_uri: "https://e.example/in" }, null, "/api/v2/Clients//Cl1/", "PATCH")], "Medium",
        ["https://a.example", "com.example.app+1.x-y://b.example", "https://c.example", "https://d.example", "https://e.example"]),
      fires("two", [had, urls("11:40", { callbacks: ["https://one.example", "https://two.example"] })], [
        "Medium: Auth0 - Cl1 may lead users to https://one.example"]),
      leads("which begins as a known one does", [had, urls("11:40", { callbacks: ["https://app.example.com@evil.example/cb", "https://app.example.com:8443/cb"] })], "Medium",
        ["https://app.example.com@evil.example", "https://app.example.com:8443"]),
      leads("of which a part is given", [had, urls("11:40", { callbacks: ["https://*.example.net/cb"] })], "High", ["https://*.example.net"]),
      leads("by a way that anybody can listen to", [had, urls("11:40", { callbacks: ["http://shop.example.net/cb"] })], "High", ["http://shop.example.net"]),
      leads("which seems the user's own machine", [had, urls("11:40", { callbacks: ["https://localhost.evil.example", "https://127.0.0.1.evil.example",
        "https://[::1].evil.example", "app://localhost"] })], "Medium",
        ["https://localhost.evil.example", "https://127.0.0.1.evil.example", "https://[::1].evil.example", "app://localhost"]),
      leads("which stands behind a name that is the user's own machine", [had, urls("11:40", { callbacks: ["https://localhost:1@evil.example/cb",
        "https://127.0.0.1:x@evil.example"] })], "High", ["https://localhost:***@evil.example", "https://127.0.0.1:***@evil.example"]),
      quiet("the user's own machine", [had, urls("11:40", { callbacks: ["http://localhost/cb", "https://LOCALHOST:3000", "http://127.0.0.1:80/", "http://[::1]:80"] })]),
      leads("by a path that spells the application otherwise", [had, urls("11:40", led.details.request.body, null, "/api/v2/clients/%43l1")], "Medium", ["https://evil.example"]),
      leads("of an application that no earlier record tells of", [led], "Low", ["https://app.example.com", "https://evil.example"]),
      leads("of one of which earlier records tell no address", [...earlier(5, [urls("11:00", { name: "x" })]), led], "Low",
        ["https://app.example.com", "https://evil.example"]),
      leads("of a new one", [urls("11:40", { name: "New", callbacks: ["http://new.example"] }, { client_id: "Cl9" }, "/api/v2/clients", "POST")], "Low", ["http://new.example"]),
      leads("of another one", [...earlier(5, [urls("11:00", { callbacks: ["https://evil.example"] }, null, "/api/v2/clients/Cl2")]), had, led], "Medium", ["https://evil.example"]),
      quiet("what it was made with", [...earlier(5, [urls("11:00", { callbacks: ["https://app.example.com", "https://evil.example"] }, { client_id: "Cl1" }, "/api/v2/clients", "post")]), led]),
      quiet("what an answer told", [...earlier(5, [urls("11:00", { name: "x" }, { callbacks: ["https://app.example.com/"], web_origins: ["https://evil.example"] })]), led]),
      ...["allowed_origins", "web_origins"].map((name) => quiet(`what an answer told (${name})`, [had,
        ...earlier(4, [urls("11:00", {}, { [name]: ["https://evil.example"] })]), led])),
      quiet("what an answer told (initiate_login_uri)", [had, ...earlier(4, [urls("11:00", {}, { initiate_login_uri: "https://evil.example/x" })]), led]),
      leads("what an answer told afterwards", [had, led, urls("11:41", {}, { callbacks: ["https://evil.example"] })], "Medium", ["https://evil.example"]),
      leads("twice, and the second is no news", [had, led, urls("11:50", { callbacks: ["https://evil.example/other"] })], "Medium", ["https://evil.example"]),
      quiet("only the answer has it", [had, urls("11:40", { name: "x" }, { callbacks: ["https://evil.example"] })]),
      quiet("no address, another field, looked at, another thing", [had, urls("11:40", { callbacks: ["evil", "//evil.example", ""], allowed_logout_urls: ["https://evil.example"] }),
        urls("11:40", led.details.request.body, null, "/api/v2/clients/Cl1", "get"), urls("11:40", led.details.request.body, null, "/api/v2/clients/Cl1/credentials"),
        urls("11:40", led.details.request.body, null, "/api/v2/tenants/settings")]),
      leads("just within two weeks", [...earlier(334.9, [urls("11:00", { callbacks: ["https://app.example.com"] })]), led], "Medium", ["https://evil.example"]),
      leads("beyond two weeks", [...earlier(335.1, [urls("11:00", { callbacks: ["https://app.example.com"] })]), led], "Low", ["https://app.example.com", "https://evil.example"]),
      fires("both arrived at once hours later", arriving(30, [...earlier(20, [urls("11:00", { callbacks: ["https://app.example.com"] })]), ...earlier(19, [led])]), [
        { severity: "Low" }, { severity: "Medium", details: { Origins: '["https://evil.example"]' } }]),
      fires("by a program", [had, byProgram(led)], [{ entities: ["Account robot", "IP 192.0.2.44", "CloudApplication Cl1"] }]),
      ...managed(led, 1),
    ],
  },
};
