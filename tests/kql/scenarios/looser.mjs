// APIs that are held to less than they were.

import { byProgram, call, earlier, fires, managed, quiet, remembering, set } from "../records.mjs";

const API = { folder: "/api/v2/resource-servers", id: "Api1", idName: "id", spelled: "/api/v2/Resource-Servers//%41pi1/" };
const edit = (body, { clock = "11:40", path = "/api/v2/resource-servers/Api1", method = "patch", answer } = {}) => call(clock, method, path, body, answer);
const open = (policy) => ({ subject_type_authorization: { user: { policy }, client: { policy: "require_client_grant" } } });
const off = edit({ enforce_policies: false });
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
        "Medium: Auth0 - Api1 gives every permission to whoever signs in since admin@example.com changed it",
        "Medium: Auth0 - https://orders.example.com gives tokens to every application since admin@example.com changed it"]),
      fires("of which earlier records tell the other", [...had(open("deny_all")), off], [{ severity: "Medium" }]),
      quiet("one as before, the other not so", [...had({ enforce_policies: false, ...open("deny_all") }), edit({ enforce_policies: false, ...open("deny_all") })]),
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
};
