// Applications and APIs that are held to less than they were.

import { byProgram, call, earlier, fires, managed, quiet, remembering, set, unanswered } from "../records.mjs";

const API = { folder: "/api/v2/resource-servers", id: "Api1", idName: "id", spelled: "/api/v2/Resource-Servers//%41pi1/" };
const ORDERS = "/api/v2/resource-servers/https%3A%2F%2Forders.example.com";
const CLIENT = { folder: "/api/v2/clients", id: "Cl1", idName: "client_id", spelled: "/api/v2/Clients//%43l1/" };
const edit = (body, { clock = "11:40", path = "/api/v2/resource-servers/Api1", method = "patch", answer } = {}) => call(clock, method, path, body, answer);
const open = (policy) => ({ subject_type_authorization: { user: { policy }, client: { policy: "require_client_grant" } } });
const off = edit({ enforce_policies: false });
const client = (body, { clock = "11:40", path = "/api/v2/clients/Cl1", method = "patch", answer } = {}) => call(clock, method, path, body, answer);
const rotation = (rotation_type) => ({ refresh_token: { rotation_type, leeway: 0 } });
const isPublic = { app_type: "regular_web", token_endpoint_auth_method: "none" };
/** What an application may be told that holds it to less, how it was before, and what the alert says. */
const DEMANDS = [
  { what: "has its tokens signed with its secret", on: { jwt_configuration: { alg: "HS256" } }, off: { jwt_configuration: { alg: "RS256" } } },
  { what: "needs no consent of its users", on: { is_first_party: true }, off: { is_first_party: false } },
  { what: "needs no proof that a token is its own", on: { require_proof_of_possession: false }, off: { require_proof_of_possession: true } },
  { what: "need not push its authorization requests", on: { require_pushed_authorization_requests: false }, off: { require_pushed_authorization_requests: true } },
  { what: "need not sign its requests", on: { signed_request_object: { required: false } }, off: { signed_request_object: { required: true, credentials: [{ id: "cred_1" }] } } },
  { what: "needs no key to prove who it is", on: { client_authentication_methods: null },
    off: { client_authentication_methods: { private_key_jwt: { credentials: [{ id: "cred_1" }] } } } },
];
const spoofing = client({ is_token_endpoint_ip_header_trusted: true });
const since = (what, severity, name = "Cl1") => [`${severity}: Auth0 - ${name} ${what} since admin@example.com changed it`];
const had = (body) => earlier(5, [edit(body, { clock: "11:00" })]);

export default {
  "api-opened": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [off])),
      set("expectedClients", "dynamic(['robot'])", quiet("as a program set it that is expected", [...had({ enforce_policies: false }).map(byProgram), off])),
      fires("to whoever signs in", [...had({ name: "Orders", enforce_policies: true }), off], [{
        title: "Auth0 - Api1 gives every permission to whoever signs in since admin@example.com changed it",
        severity: "High",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "CloudApplication Api1"],
        details: { Api: "Api1", Change: "every permission to whoever signs in" },
      }]),
      ...["require_client_grant", "deny_all"].map((policy) => fires(`to every application, and not only by a grant (${policy})`, [
        ...had(open(policy)), edit({ name: "Orders", ...open("allow_all") })], [
        "High: Auth0 - Orders gives tokens to every application since admin@example.com changed it"])),
      fires("not as before, as the answer told", [...earlier(5, [edit({ name: "x" }, { answer: { id: "Api1", enforce_policies: true, ...open("deny_all") } })]),
        edit({ enforce_policies: false, ...open("allow_all") }, { answer: { name: "Orders" } })], [
        "High: Auth0 - Orders gives every permission to whoever signs in since admin@example.com changed it",
        "High: Auth0 - Orders gives tokens to every application since admin@example.com changed it"]),
      fires("of which no earlier record tells", [off, edit(open("allow_all"), { path: "/api/v2/Resource-Servers//https%3A%2F%2Forders.example.com/", method: "PATCH" })], [
        "Low: Auth0 - Api1 gives every permission to whoever signs in since admin@example.com changed it",
        "Low: Auth0 - https://orders.example.com gives tokens to every application since admin@example.com changed it"]),
      fires("of which earlier records tell the other", [...had(open("deny_all")), off], [{ severity: "Low" }]),
      quiet("one as before, the other not so", [...had({ enforce_policies: false, ...open("deny_all") }), edit({ enforce_policies: false, ...open("deny_all") })]),
      quiet("as it was, by its identifier", [...earlier(5, [edit({ enforce_policies: false }, { path: ORDERS, answer: { id: "Api1" } })]), off]),
      fires("as that of another tenant was, by the same identifier", [...earlier(5, [edit({ enforce_policies: false }, { path: ORDERS, answer: { id: "Api2" } })]),
        edit({ enforce_policies: false }, { path: ORDERS, answer: { id: "Api1", name: "Orders" } })], [
        "Low: Auth0 - Orders gives every permission to whoever signs in since admin@example.com changed it"]),
      ...[["trust to whoever has its secret", "High", { signing_alg: "HS256" }, { signing_alg: "RS256" }],
        ["access to whoever has a stolen token", "Medium", { proof_of_possession: { mechanism: "dpop", required: false } }, { proof_of_possession: { mechanism: "dpop", required: true } }],
        ["access to whoever has a stolen token", "Medium", { proof_of_possession: null }, { proof_of_possession: { mechanism: "mtls", required: true } }],
      ].flatMap(([what, severity, on, off]) => {
        const gives = (it, name = "Api1") => [`${it}: Auth0 - ${name} gives ${what} since admin@example.com changed it`];
        const about = `${what}, by ${JSON.stringify(on)}`;
        return [
          fires(about, [...had(off), edit({ name: "Orders", ...on }, { method: "PATCH" })], gives(severity, "Orders")),
          fires(`${about}, not as an answer told it`, [...earlier(5, [edit({ token_lifetime: 1 }, { answer: { id: "Api1", ...off } })]), edit(on)], gives(severity)),
          fires(`${about}, of which no earlier record tells`, [edit(on)], gives("Low")),
          quiet(`${about}, as an edit of all says of which no earlier record tells`, [edit({ name: "Orders", ...on })]),
          quiet(`${about}, as it was made, of another thing, or only answered`, [...earlier(5, [edit(on, { path: "/api/v2/resource-servers", method: "post", answer: { id: "Api1" } })]),
            edit(on), edit(on, { path: "/api/v2/clients/Api2" }), edit({ name: "x" }, { answer: on }), edit(off, { clock: "11:50" })]),
          quiet(`${about}, as an answer told it`, [...earlier(5, [edit({ token_lifetime: 1 }, { answer: { id: "Api1", ...on } })]), edit(on)]),
        ];
      }),
      ...remembering({ ...API, on: { enforce_policies: false }, off: { enforce_policies: true } }),
      ...remembering({ ...API, on: open("allow_all"), off: open("require_client_grant") }),
      quiet("closed, another setting, of programs, a new one, looked at, another thing", [edit({ enforce_policies: true, ...open("deny_all") }),
        edit({ allow_offline_access: true, token_lifetime: 86400 }), edit({ subject_type_authorization: { client: { policy: "allow_all" } } }),
        edit({ enforce_policies: false, ...open("allow_all") }, { path: "/api/v2/resource-servers", method: "post", answer: { id: "Api2" } }),
        edit({ name: "x" }, { answer: { enforce_policies: false, ...open("allow_all") } }), edit({ enforce_policies: false }, { method: "get" }),
        edit({ enforce_policies: false }, { path: "/api/v2/clients/Api1" }), edit({ enforce_policies: false }, { path: "/api/v2/resource-servers/Api1/scopes" })]),
      fires("by a program", [byProgram(off)], [{ entities: ["Account robot", "IP 192.0.2.44", "CloudApplication Api1"] }]),
      ...managed(off, 1),
    ],
  },
  "application-weakened": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [spoofing])),
      set("expectedClients", "dynamic(['robot'])", quiet("as a program set it that is expected", [
        ...earlier(5, [byProgram(client({ is_token_endpoint_ip_header_trusted: true }))]), spoofing])),
      fires("names any address", [...earlier(5, [client({ is_token_endpoint_ip_header_trusted: false })]), spoofing], [{
        title: "Auth0 - Cl1 may name any address as the user's since admin@example.com changed it",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "CloudApplication Cl1"],
        details: { Change: "may name any address as the user's" },
      }]),
      ...["regular_web", "non_interactive"].flatMap((app_type) => [
        fires(`no secret (${app_type})`, [...earlier(5, [client({ token_endpoint_auth_method: "client_secret_post" })]),
          client({ name: "Portal", app_type, token_endpoint_auth_method: "none" })], since("needs no secret", "Medium", "Portal")),
        fires(`no secret, by the answer (${app_type})`, [...earlier(5, [client({ name: "x" }, { answer: { token_endpoint_auth_method: "client_secret_post" } })]),
          client({ token_endpoint_auth_method: "none" }, { answer: { app_type, name: "Portal" } })], since("needs no secret", "Medium", "Portal")),
      ]),
      ...["regular_web", "non_interactive"].map((app_type) => fires(`no secret, as it says that it is on a phone now (${app_type})`, [
        ...earlier(5, [client({ app_type, token_endpoint_auth_method: "client_secret_post" }), client({ name: "x" }, { clock: "11:50" })]),
        client({ app_type: "native", token_endpoint_auth_method: "none" })], since("needs no secret", "Medium"))),
      fires("no secret, of which only an earlier answer tells that it is on a server", [
        ...earlier(5, [client({ name: "x" }, { answer: { app_type: "regular_web", token_endpoint_auth_method: "client_secret_post" } })]),
        unanswered(client({ token_endpoint_auth_method: "none" }))], since("needs no secret", "Medium")),
      quiet("without a secret in a browser as before on a phone, with one, and on a server only afterwards", [
        ...earlier(5, [client({ app_type: "native", token_endpoint_auth_method: "client_secret_post" })]),
        client({ app_type: "spa", token_endpoint_auth_method: "none" }),
        client({ app_type: "regular_web", token_endpoint_auth_method: "client_secret_post" }, { clock: "11:50" })]),
      fires("no rotation", [...earlier(5, [client(rotation("rotating"))]), client(rotation("non-rotating"), { method: "PATCH" })],
        since("keeps its refresh tokens", "Medium")),
      fires("no rotation, as nothing is said of refresh tokens any more", [...earlier(5, [client(rotation("rotating"))]), client({ refresh_token: null })],
        since("keeps its refresh tokens", "Medium")),
      fires("all at once, of which no earlier record tells", [client({ ...isPublic, ...rotation("non-rotating"), is_token_endpoint_ip_header_trusted: true })],
        [...since("needs no secret", "Low"), ...since("may name any address as the user's", "Low")]),
      fires("of which an earlier record tells another", [...earlier(5, [client({ token_endpoint_auth_method: "client_secret_post", ...rotation("rotating") })]), spoofing],
        since("may name any address as the user's", "Low")),
      quiet("without a secret in a browser, on a phone, or who knows where", ["spa", "native", undefined].map((app_type, n) =>
        client({ app_type, token_endpoint_auth_method: "none" }, { path: `/api/v2/clients/Cl${n}` }))),
      quiet("by what it asks for in a browser, whatever is answered", [client({ app_type: "spa", token_endpoint_auth_method: "none" }, { answer: { app_type: "regular_web" } })]),
      quiet("one as before, the other not so", [...earlier(5, [client({ ...isPublic, ...rotation("rotating") })]), client({ ...isPublic, ...rotation("rotating") })]),
      // Each of these two calls is harmless alone.
      ...["regular_web", "non_interactive"].map((app_type) => fires(`no secret on a phone, of which an earlier call says only that it is on a server (${app_type})`, [
        ...earlier(5, [unanswered(client({ app_type }))]), client({ app_type: "native", token_endpoint_auth_method: "none" })], since("needs no secret", "Low"))),
      ...["spa", "native"].map((app_type) => fires(`no secret after a call that only says that it is on no server now (${app_type})`, [
        client({ app_type }, { clock: "11:30", method: "PATCH", answer: { app_type, token_endpoint_auth_method: "client_secret_post" } }),
        client({ token_endpoint_auth_method: "none" }, { answer: { app_type } })], since("needs no secret", "Medium"))),
      quiet("no secret in a browser after an edit that says so and more", [
        client({ name: "Portal" }, { clock: "11:20", path: "/api/v2/clients", method: "post", answer: { client_id: "Cl1", token_endpoint_auth_method: "client_secret_post" } }),
        client({ app_type: "spa", callbacks: ["https://app.example.com"] }, { clock: "11:30" }), client({ app_type: "spa", grant_types: ["refresh_token"] }, { clock: "11:31" }),
        client({ app_type: "spa", is_first_party: false }, { clock: "11:32" }), client({ app_type: "spa", jwt_configuration: { alg: "RS256" } }, { clock: "11:33" }),
        client({ token_endpoint_auth_method: "none" })]),
      quiet("no secret in a browser after an edit of all that says so, another one's call, and one that comes later", [
        client({ name: "Portal", app_type: "spa" }, { clock: "11:30" }), client({ app_type: "spa", token_endpoint_auth_method: "client_secret_post" }, { clock: "11:31" }),
        client({ app_type: "spa" }, { clock: "11:32", path: "/api/v2/clients/Cl2" }), client({ app_type: "spa" }, { clock: "11:33", path: "/api/v2/clients", method: "post" }),
        client({ app_type: "spa", token_endpoint_auth_method: "none" }), client({ app_type: "native" }, { clock: "11:50" })]),
      ...DEMANDS.flatMap(({ what, on, off }) => [
        fires(`${what}, which was not so`, [...earlier(5, [client(off)]), client(on, { method: "PATCH" })], since(what, "Medium")),
        fires(`${what}, which was not so, by the answer`, [...earlier(5, [client({ description: "x" }, { answer: off })]), client({ ...on, name: "Portal" })],
          since(what, "Medium", "Portal")),
        fires(`${what}, of which no earlier record tells`, [client(on)], since(what, "Low")),
        quiet(`${what}, as an edit of all says of which no earlier record tells`, [client({ ...on, name: "Portal" })]),
        quiet(`${what}, made, of another thing, looked at, or only answered`, [client(on, { path: "/api/v2/clients", method: "post", answer: { client_id: "Cl2" } }),
          client(on, { path: "/api/v2/resource-servers/Cl1" }), client(on, { method: "get" }), client({ description: "x" }, { answer: on }), client(off)]),
        quiet(`${what}, as it was`, [...earlier(5, [client(on, { path: "/api/v2/clients", method: "post", answer: { client_id: "Cl1" } })]), client(on)]),
        quiet(`${what}, as an answer told it`, [...earlier(5, [client({ description: "x" }, { answer: on })]), client(on)]),
      ]),
      fires("what is taken away by nothing", ["require_proof_of_possession", "require_pushed_authorization_requests", "signed_request_object"].map((name, n) =>
        client({ [name]: null }, { path: `/api/v2/clients/Cl${n}` })), ["needs no proof that a token is its own", "need not push its authorization requests", "need not sign its requests"].flatMap((what, n) =>
        since(what, "Low", `Cl${n}`))),
      fires("no key, by what says nothing", [client({ client_authentication_methods: {} })], since("needs no key to prove who it is", "Low")),
      ...remembering({ ...CLIENT, on: isPublic, off: { ...isPublic, token_endpoint_auth_method: "client_secret_basic" } }),
      ...remembering({ ...CLIENT, on: { is_token_endpoint_ip_header_trusted: true }, off: { is_token_endpoint_ip_header_trusted: false } }),
      quiet("no rotation, as an answer told it", [...earlier(5, [client({ name: "x" }, { answer: rotation("non-rotating") })]), client(rotation("non-rotating"))]),
      fires("no rotation, and not as an answer told it", [...earlier(5, [client({ name: "x" }, { answer: rotation("rotating") })]), client(rotation("non-rotating"))], 1),
      quiet("kept, made, looked at, another thing", [client({ app_type: "regular_web", token_endpoint_auth_method: "client_secret_post", ...rotation("rotating"),
        is_token_endpoint_ip_header_trusted: false }), client({ ...isPublic, is_token_endpoint_ip_header_trusted: true }, { path: "/api/v2/clients", method: "post", answer: { client_id: "Cl2" } }),
        client({ name: "x" }, { answer: { ...isPublic, is_token_endpoint_ip_header_trusted: true } }), client({ ...isPublic, is_token_endpoint_ip_header_trusted: true }, { method: "get" }),
        client({ ...isPublic, is_token_endpoint_ip_header_trusted: true }, { path: "/api/v2/clients/Cl1/credentials" }),
        client({ ...isPublic, is_token_endpoint_ip_header_trusted: true }, { path: "/api/v2/resource-servers/Cl1" })]),
      fires("by a program", [byProgram(spoofing)], [{ entities: ["Account robot", "IP 192.0.2.44", "CloudApplication Cl1"] }]),
      ...managed(spoofing, 1),
    ],
  },
};
