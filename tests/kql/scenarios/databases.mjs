// Databases of users that take what they did not take before.

import { byProgram, call, earlier, fires, managed, quiet, remembering, set } from "../records.mjs";

const DATABASE = { folder: "/api/v2/connections", id: "con_Ab", idName: "id", spelled: "/api/v2/Connections//con%5FAb/" };
const edit = (options, { clock = "11:40", path = "/api/v2/connections/con_Ab", method = "patch", answer } = {}) => call(clock, method, path, { options }, answer);
const told = (options) => earlier(5, [edit(options, { clock: "11:00" })]);
const since = (what, severity, name = "con_Ab") => [`${severity}: Auth0 - ${name} ${what} after an edit by admin@example.com`];

/** All that a database may be told, in the form of old and in the one that replaces it. */
const STRICT = {
  passwordPolicy: "good", password_complexity_options: { min_length: 12 }, password_history: { enable: true, size: 5 },
  password_dictionary: { enable: true }, password_no_personal_info: { enable: true }, disable_signup: true, brute_force_protection: true,
};
const FLEXIBLE = {
  password_options: {
    complexity: { min_length: 12, character_types: ["uppercase"] }, history: { active: true, size: 5 },
    dictionary: { active: true, default: "en_10k" }, profile_data: { active: true },
  },
  disable_signup: true, brute_force_protection: true,
};
const flexible = (part) => ({ password_options: { ...FLEXIBLE.password_options, ...part } });
const less = (what, part, from = STRICT) => fires(`${what}, by ${JSON.stringify(part)}`, [...told(from), edit({ ...from, ...part })], since(what, "Medium"));
const weak = edit({ passwordPolicy: "none" });
const shortest = (min_length) => ({ password_complexity_options: { min_length } });

/** Numbers of the rule of which only the order counts. */
const ONLY_COMPARED = [
  "tostring(Options.passwordPolicy) == 'excellent', 4.0, [4.0 -> 5.0]",
  "isnotempty(tostring(Options.password_options.complexity)), real(null), 0.0), [0.0 -> -1.0]",
  "tobool(Options.password_options.history.active) == true, coalesce(toreal(Options.password_options.history.size), 1.0), 0.0), [0.0 -> -1.0]",
  ...["or tobool(Options.password_options.dictionary.active) == true, 1.0, 0.0),", "or tobool(Options.password_options.profile_data.active) == true, 1.0, 0.0),",
    "Setting == 'disable_signup', iff(tobool(Options.disable_signup) == true, 1.0, 0.0),",
    "case(tobool(Options.brute_force_protection) == true, 1.0, tobool(Options.brute_force_protection) == false, real(null), 0.0)))",
  ].flatMap((line) => [`${line} [1.0 -> 2.0]`, `${line} [0.0 -> -1.0]`]),
];

export default {
  "database-weakened": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [weak])),
      set("expectedClients", "dynamic(['robot'])", quiet("as a program told it that is expected", [...told({ passwordPolicy: "none" }).map(byProgram), weak])),
      fires("weaker passwords", [...told(STRICT), edit({ ...STRICT, passwordPolicy: "low" }, { method: "PATCH", answer: { name: "Users" } })], [{
        title: "Auth0 - Users takes weaker passwords after an edit by admin@example.com",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Connection: "Users", Change: "takes weaker passwords" },
      }]),
      ...[["excellent", "good", "shorter"], ["good", "fair"], ["fair", "low", "shorter"], ["low", "none", "shorter"]].flatMap(([was, is, shorter]) => [
        fires(`${is} after ${was}`, [...told({ passwordPolicy: was }), edit({ passwordPolicy: is })],
          since(shorter ? "takes shorter passwords, takes weaker passwords" : "takes weaker passwords", "Medium")),
        quiet(`${was} after ${is}`, [...told({ passwordPolicy: is }), edit({ passwordPolicy: was })]),
      ]),
      // The length that a policy asks for by itself.
      ...[["excellent", 10], ["good", 8], ["fair", 8], ["low", 6], ["none", 1], [null, 1]].flatMap(([passwordPolicy, length]) => [
        fires(`no length that is longer than that of the policy ${passwordPolicy}`, [...told({ passwordPolicy, ...shortest(length + 1) }), edit({ passwordPolicy })],
          since("takes shorter passwords", "Medium")),
        quiet(`no length that is that of the policy ${passwordPolicy}`, [...told({ passwordPolicy, ...shortest(length) }), edit({ passwordPolicy })]),
      ]),
      fires("a length that is shorter than that of the policy", [...told({ passwordPolicy: "good" }), edit({ passwordPolicy: "good", ...shortest(7) })],
        since("takes shorter passwords", "Medium")),
      fires("no length in the new form any more", [...told({ password_options: { complexity: { min_length: 12 } } }), edit({ disable_signup: true })],
        since("takes shorter passwords", "Medium")),
      quiet("no length in the new form, where nobody knows which holds", [...told({ passwordPolicy: "good" }), edit({ password_options: { complexity: { character_types: [] } } })]),
      less("takes weaker passwords", { passwordPolicy: null }),
      less("takes shorter passwords", { password_complexity_options: { min_length: 11 } }),
      less("takes passwords that a user had", { password_history: { enable: false, size: 5 } }),
      less("takes passwords that a user had", { password_history: { enable: true, size: 4 } }),
      less("takes common passwords", { password_dictionary: { enable: false } }),
      less("takes passwords with personal data", { password_no_personal_info: { enable: false } }),
      less("lets anybody sign up", { disable_signup: false }),
      less("takes shorter passwords", flexible({ complexity: { min_length: 11 } }), FLEXIBLE),
      less("takes passwords that a user had", flexible({ history: { active: false } }), FLEXIBLE),
      less("takes passwords that a user had", flexible({ history: { active: true, size: 4 } }), FLEXIBLE),
      less("takes common passwords", flexible({ dictionary: { active: false } }), FLEXIBLE),
      less("takes passwords with personal data", flexible({ profile_data: { active: false } }), FLEXIBLE),
      fires("a history whose size is left out", [...told({ password_history: { enable: true } }), edit({ password_history: { enable: false } })],
        since("takes passwords that a user had", "Medium")),
      fires("a history in the new form, whose size is left out", [...told({ password_options: { history: { active: true } } }), edit({ password_options: { history: {} } })],
        since("takes passwords that a user had", "Medium")),
      fires("all that one option leaves out", [...told(STRICT), edit({ disable_signup: true })], since(["blocks nobody who guesses", "takes common passwords", "takes passwords that a user had",
        "takes passwords with personal data", "takes shorter passwords", "takes weaker passwords"].join(", "), "Medium")),
      quiet("a history whose size is told at last", [...told({ password_history: { enable: true } }), edit({ password_history: { enable: true, size: 1 } })]),
      quiet("a history in the new form, whose size is told at last", [...told(flexible({ history: { active: true } })), edit(flexible({ history: { active: true, size: 1 } }))]),
      quiet("brute-force protection that is said to be off, about which another rule alerts", [...told(STRICT), edit({ ...STRICT, brute_force_protection: false })]),
      quiet("nothing, and no options", [...told(STRICT), edit({}), edit(null), edit(undefined), call("11:40", "patch", "/api/v2/connections/con_Ab", { is_domain_connection: true })]),
      quiet("the same by the policy that replaces the first ones", [...told(STRICT), edit(FLEXIBLE)]),
      quiet("stricter", [...told({ ...STRICT, disable_signup: false, password_history: { enable: false } }), edit({ ...STRICT, passwordPolicy: "excellent",
        password_complexity_options: { min_length: 14 }, password_history: { enable: true, size: 24 } })]),
      // No earlier record tells how it was.
      ...["none", "low"].map((passwordPolicy) => fires(`${passwordPolicy}, of which no earlier record tells`, [
        edit({ ...STRICT, passwordPolicy }, { method: "PATCH", path: "/api/v2/Connections//con_Ab/" })], since("takes weak passwords", "Low"))),
      fires("no policy alone, of which no earlier record tells", [edit({ passwordPolicy: null })], since("takes weak passwords", "Low")),
      quiet("no policy, with other options, of which no earlier record tells", [edit({ ...STRICT, passwordPolicy: null })]),
      ...[["takes short passwords", { password_complexity_options: { min_length: 7 } }], ["takes passwords that a user had", { password_history: { enable: false } }],
        ["takes common passwords", { password_dictionary: { enable: false } }], ["takes passwords with personal data", { password_no_personal_info: { enable: false } }],
        ["lets anybody sign up", { disable_signup: false }],
        ...[["takes short passwords", { complexity: { min_length: 7 } }], ["takes passwords that a user had", { history: { active: false } }],
          ["takes common passwords", { dictionary: { active: false } }], ["takes passwords with personal data", { profile_data: { active: false } }],
        ].map(([what, password_options]) => [what, { password_options }]),
      ].flatMap(([what, options]) => [
        fires(`${what}, by ${JSON.stringify(options)} alone, of which no earlier record tells`, [edit(options)], since(what, "Low")),
        quiet(`${what}, with other options, of which no earlier record tells`, [edit({ ...options, brute_force_protection: true })]),
      ]),
      quiet("a whole policy in the new form, of which no earlier record tells", [edit({ password_options: { complexity: { min_length: 12 },
        history: { active: false }, profile_data: { active: false } } })]),
      quiet("strict enough, of which no earlier record tells", [edit({ passwordPolicy: "fair" }), edit(shortest(8), { path: "/api/v2/connections/con_2" }),
        edit(flexible({ complexity: { min_length: 8 } }), { path: "/api/v2/connections/con_6" }),
        edit({ brute_force_protection: false }, { path: "/api/v2/connections/con_3" }), edit({ validation: {} }, { path: "/api/v2/connections/con_4" }),
        edit({ disable_signup: true }, { path: "/api/v2/connections/con_5" })]),
      fires("of which an earlier record tells another", [...earlier(5, [edit(null, { answer: { id: "con_Ab", name: "x" } })]), weak], since("takes weak passwords", "Low")),
      quiet("of what is no database, as the answer tells", ["sms", "email", "samlp"].map((strategy) =>
        edit({ disable_signup: false }, { path: `/api/v2/connections/con_${strategy}`, answer: { strategy } }))),
      fires("of a database, as the answer tells", [edit({ disable_signup: false }, { answer: { strategy: "auth0" } })], since("lets anybody sign up", "Low")),
      ...remembering({ ...DATABASE, on: { options: { passwordPolicy: "none" } }, off: { options: { passwordPolicy: "good" } } }),
      quiet("made, looked at, another thing, or only answered", [edit({ passwordPolicy: "none" }, { path: "/api/v2/connections", method: "post", answer: { id: "con_2" } }),
        edit({ passwordPolicy: "none" }, { method: "get" }), edit({ passwordPolicy: "none" }, { path: "/api/v2/connections/con_Ab/clients" }),
        edit({ passwordPolicy: "none" }, { path: "/api/v2/clients/con_Ab" }), call("11:40", "patch", "/api/v2/connections/con_3", { display_name: "x" }, { options: { passwordPolicy: "none" } })]),
      fires("by a program", [byProgram(weak)], [{ entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(weak, 1),
    ],
    survivors: Object.fromEntries(ONLY_COMPARED.map((name) => [name, "what is on counts more than what is off, and a policy more than a weaker one"])),
  },
};
