// Attack protection: how it is switched off or weakened, and what it says itself.

import { arriving, byProgram, call, daily, earlier, event, fires, framed, managed, networked, quiet, times, two, user } from "../records.mjs";

const BRUTE_FORCE = "/api/v2/attack-protection/brute-force-protection";
const THROTTLING = "/api/v2/attack-protection/suspicious-ip-throttling";
const BREACHED = "/api/v2/attack-protection/breached-password-detection";
const BOTS = "/v2/attack-protection/bot-detection";
const CAPTCHAS = "/api/v2/anomaly/captchas";
const CONNECTION = "/api/v2/connections/con_1";
const RISK = "/api/v2/risk-assessment/config";
const LIST = "/api/v2/network-acls";

const off = call("11:40", "patch", BRUTE_FORCE, { enabled: false });
const title = (protection, by = "admin@example.com") => `High: Auth0 - ${protection} switched off by ${by}`;
const change = (Change) => [{ details: { Change } }];
const says = (what, path, body, Change, answer) => fires(what, [call("11:40", "patch", path, body, answer)], change(Change));
const nothing = (what, path, body, answer) => quiet(what, [call("11:40", "patch", path, body, answer)]);

const BLIND = "does not block what it detects";
const OPEN = "lets everybody pass";
const SILENT = "never challenges";

const switchedOff = [
  fires("brute-force protection off", [off], [{
    title: "Auth0 - brute-force-protection switched off by admin@example.com",
    severity: "High",
    entities: ["Account admin@example.com", "IP 203.0.113.9"],
    details: { Protection: "brute-force-protection", Change: "off" },
  }]),
  fires("by a program", [byProgram(call("11:40", "PUT", BRUTE_FORCE, { enabled: false }))], [
    { title: "Auth0 - brute-force-protection switched off by robot", entities: ["Account robot", "IP 192.0.2.44"] },
  ]),
  ...managed(off, [title("brute-force-protection")]),
  quiet("only looked at", [call("11:40", "get", BRUTE_FORCE, null, { enabled: false })]),
  fires("by each method", [
    call("11:40", "POST", BRUTE_FORCE, { enabled: false }), call("11:40", "Put", BRUTE_FORCE, { enabled: false }),
    call("11:40", "PATCH", BRUTE_FORCE, { enabled: false }),
  ], 3),
  nothing("on", BRUTE_FORCE, { enabled: true, max_attempts: 10 }),
  says("mode off", BRUTE_FORCE, { mode: "Off" }, "off"),
  nothing("mode on", BRUTE_FORCE, { mode: "count_per_identifier" }),
  says("mode none", BRUTE_FORCE, { mode: "none" }, "off"),
  says("mode disabled", BRUTE_FORCE, { mode: "disabled" }, "off"),
  says("no shields", THROTTLING, { shields: [] }, BLIND),
  says("only notifies", THROTTLING, { shields: ["admin_notification"] }, BLIND),
  nothing("blocks, in capitals", THROTTLING, { shields: ["Block"] }),
  says("no shields at a sign-up", BREACHED, { stage: { "pre-user-registration": { shields: [] } } }, "does not block a sign-up"),
  says("no shields at a change", BREACHED, { stage: { "pre-change-password": { shields: [] } } }, "does not block a change of password"),
  nothing("shields at a sign-up", BREACHED, { stage: { "pre-user-registration": { shields: ["block"] } } }),
  says("everybody", BRUTE_FORCE, { allowlist: ["192.0.2.1", "0.0.0.0/0"] }, OPEN),
  says("everybody of IPv6, at the end", THROTTLING, { allowlist: ["::/7", "10.0.0.1"] }, OPEN),
  nothing("a network", THROTTLING, { allowlist: ["10.0.0.0/8", "192.0.2.7/32"] }),
  says("watches only", BOTS, { monitoring_mode_enabled: true }, "watches only"),
  nothing("watches no more", BOTS, { monitoring_mode_enabled: false, challenge_password_policy: "always" }),
  ...["policy", "passwordless_policy", "password_reset_policy", "challenge_password_policy", "challenge_passwordless_policy",
    "challenge_password_reset_policy"].map((name) => says(`${name} never`, BOTS, { [name]: "never" }, SILENT)),
  says("policy false", BOTS, { policy: false }, SILENT),
  says("captcha off", CAPTCHAS, { policy: "off", selected: "auth0" }, SILENT),
  fires("its name of old", [call("11:40", "patch", CAPTCHAS, { policy: "off" })], [title("bot-detection")]),
  fires("its older name", [call("11:40", "patch", RISK, { BeforeLoginPrompt: false })], [title("bot-detection")]),
  says("watches only, of old", RISK, { BeforeLoginPromptMonitoring: true }, "watches only"),
  nothing("on, of old", RISK, { BeforeLoginPrompt: true, BeforeLoginPromptMonitoring: false }),
  fires("of a connection", [call("11:40", "patch", CONNECTION, { options: { brute_force_protection: false } })],
    [title("brute-force-protection of a connection")]),
  nothing("a connection's own switch", CONNECTION, { options: { brute_force_protection: true }, enabled: false }),
  nothing("what belongs to a connection", `${CONNECTION}/users`, { options: { brute_force_protection: false } }),
  fires("the access control list, each way", [
    call("11:40", "DELETE", "/api/v2/Network-Acls//acl_1/"), call("11:41", "patch", "/api/v2/network-acls/acl_1", { active: false }),
    call("11:42", "put", "/api/v2/network-acls/acl_1", { active: true, rule: { action: { log: true }, scope: "tenant" } }),
  ], ["deleted", "off", "watches only"].map((Change) => ({ details: { Protection: "access control list", Change } }))),
  says("an access control list that lets pass", "/api/v2/network-acls/acl_1", { rule: { action: { allow: true }, match: { ipv4_cidrs: ["0.0.0.0/0"] } } },
    "lets everybody pass"),
  ...[["by what it is not", { not_match: { ipv4_cidrs: ["192.0.2.1/32"] } }], ["by its name", { match_all: true, match: { asns: [64500] } }],
    ["without a match", {}], ["with an empty one", { match: {} }]].map(([what, match]) => says(`an access control list that lets everybody pass, ${what}`,
    "/api/v2/network-acls/acl_1", { rule: { action: { allow: true }, ...match } }, OPEN)),
  fires("a new one that lets everybody pass before others block", [
    call("11:40", "POST", "/api/v2/Network-Acls/", { active: true, priority: 1, rule: { action: { allow: true }, match: { ipv4_cidrs: ["0.0.0.0/0"] } } }),
    call("11:41", "post", LIST, { rule: { action: { allow: true }, match_all: true } }),
    // It was inactive, and the call that switches it on names no rule.
    call("11:42", "patch", `${LIST}/acl_1`, { active: true }, { active: true, rule: { action: { allow: true }, match_all: true } }),
  ], times(3, () => ({ details: { Protection: "access control list", Change: OPEN } }))),
  nothing("an access control list that blocks everybody but an office", "/api/v2/network-acls/acl_1", {
    rule: { action: { block: true }, not_match: { ipv4_cidrs: ["203.0.113.0/28"] } } }),
  nothing("an access control list that lets an office pass", "/api/v2/network-acls/acl_1", { rule: { action: { allow: true }, match: { ipv4_cidrs: ["203.0.113.0/28"] } } }),
  nothing("an access control list that blocks", "/api/v2/network-acls/acl_1", { active: true, rule: { action: { block: true } } }),
  quiet("a new access control list, other things deleted", [
    call("11:40", "post", "/api/v2/network-acls", { active: false, rule: { action: { log: true } } }),
    call("11:40", "post", "/api/v2/network-acls", { active: true, rule: { action: { log: true } } }),
    call("11:40", "post", LIST, { active: false, rule: { action: { allow: true }, match_all: true } }),
    call("11:40", "patch", `${LIST}/acl_1`, { priority: 2 }, { active: false, rule: { action: { allow: true }, match_all: true } }),
    call("11:40", "patch", `${LIST}/acl_1`, { active: true }, { active: true, rule: { action: { block: true }, match_all: true } }),
    call("11:40", "patch", "/api/v2/network-aclsx", { active: false }),
    call("11:40", "get", "/api/v2/network-acls/acl_1", { active: false }),
    call("11:40", "delete", BRUTE_FORCE), call("11:40", "delete", CONNECTION), call("11:40", "patch", BRUTE_FORCE, { active: false }),
    call("11:40", "patch", CONNECTION, { rule: { action: { log: true, allow: true } } }),
  ]),
  nothing("a client", "/api/v2/clients/c", { enabled: false, policy: "off", shields: [] }),
  // Only the answer tells.
  says("the answer", BRUTE_FORCE, null, "off", { enabled: false }),
  says("the answer to an empty request", BRUTE_FORCE, {}, "off", { enabled: false }),
  says("the policy in the answer", BOTS, null, SILENT, { policy: "off" }),
  says("the shields in the answer", BREACHED, null, BLIND, { enabled: true, shields: [] }),
  nothing("the answer of a connection", CONNECTION, null, { options: { brute_force_protection: false } }),
  // What was off before is off in the answer to another edit.
  nothing("an edit of what was off", BRUTE_FORCE, { allowlist: ["192.0.2.1"] }, { enabled: false }),
  nothing("an edit of bot detection", BOTS, { selected: "auth0" }, { policy: "off", selected: "auth0" }),
  nothing("monitoring ended of what is off", RISK, { BeforeLoginPromptMonitoring: false }, { BeforeLoginPrompt: false }),
  nothing("switched on, without shields", BREACHED, { enabled: true }, { enabled: true, shields: [] }),
  nothing("a policy set, another one off", BOTS, { policy: "always" }, { passwordless_policy: "off" }),
  nothing("the prompt of old in an answer alone", RISK, null, { BeforeLoginPrompt: false }),
  says("the answer contradicts", BRUTE_FORCE, { enabled: true }, "off", { enabled: false }),
];

const blocked = (count, type, from = 0) =>
  times(count, (n) => event(`11:10:${two(n)}`, type, user(`user${n + from}@example.com`)));
const wholeAddress = event("11:48", "limit_mu", { ip: "198.51.100.20", user_name: "" });

const breached = event("11:50", "pwd_leak");

export default {
  "attack-protection-off": { cases: switchedOff },
  "breached-password": {
    cases: [
      fires("one of each kind", [breached, event("11:51", "signup_pwd_leak", user("joe@example.com")),
        event("11:52", "reset_pwd_leak", user("ann@example.com"))], [
        {
          title: "Auth0 - Breached password of jane@example.com used from 198.51.100.7",
          severity: "Medium",
          entities: ["Account jane@example.com", "IP 198.51.100.7"],
          details: { Records: "1" },
        },
        { entities: ["Account joe@example.com", "IP 198.51.100.7"] },
        { entities: ["Account ann@example.com", "IP 198.51.100.7"] },
      ]),
      fires("twice", [breached, event("11:55", "pwd_leak")], [{ details: { Records: "2" } }]),
      fires("in two tenants", [{ ...breached, tenant_name: "acme" }, { ...breached, tenant_name: "other" }], [
        { details: { Records: "2", Tenant: '["acme","other"]' } }]),
      fires("from two addresses", [breached, event("11:50", "pwd_leak", { ip: "198.51.100.8" })], 2),
      fires("at more applications than an alert shows", times(21, (n) => event("11:50", "pwd_leak", { client_name: two(n) })), [{ details: {
        Records: "21",
        Applications: '["00","01","02","03","04","05","06","07","08","09","10","11","12","13","14","15","16","17","18","19"]',
      } }]),
      ...framed([breached], 1),
      quiet("a wrong password", [event("11:50", "fp")]),
    ],
  },
  "brute-force-protection": {
    cases: [
      fires("three accounts of one address", blocked(3, "limit_wc"), [{
        title: "Auth0 - 198.51.100.7 was blocked",
        severity: "Medium",
        entities: ["IP 198.51.100.7"],
        details: {
          Blocks: "3", BlockedAccounts: "3", Accounts: '["user0@example.com","user1@example.com","user2@example.com"]' },
      }]),
      fires("three that signed in too often", blocked(3, "limit_sul"), 1),
      fires("an address", [wholeAddress], [{ entities: ["IP 198.51.100.20"], details: { Blocks: "1", BlockedAccounts: "0" } }]),
      fires("an address that is blocked for an account too", [{ ...wholeAddress, user_name: "joe@example.com" }],
        [{ details: { BlockedAccounts: "0" } }]),
      fires("twice", [wholeAddress, { ...wholeAddress, date: "2026-11-21T11:49:00.000Z" }], [{ details: { Blocks: "2" } }]),
      fires("addresses that nobody knows", times(3, (n) => event(`11:4${n}`, "limit_mu", { ip: [null, "", undefined][n] })),
        times(3, () => "Medium: Auth0 - an unknown address was blocked")),
      quiet("accounts of no address in common", blocked(3, "limit_wc").map((it) => ({ ...it, ip: null }))),
      quiet("two accounts", blocked(2, "limit_wc")),
      fires("before and after midnight, and arrived at once", arriving(30, [...earlier(22, blocked(1, "limit_wc")), ...blocked(2, "limit_wc", 1)]), 1),
      daily(blocked(3, "limit_wc"), 1).at(-1),
      fires("slower than the runs", [...arriving(130, blocked(2, "limit_wc")), ...arriving(5, blocked(1, "limit_wc", 2))], [
        { details: { BlockedAccounts: "3" } }]),
      quiet("an account, hours after the address was blocked", [...arriving(300, blocked(1, "limit_mu")), ...arriving(5, blocked(1, "limit_wc", 1))]),
      quiet("slower, and seen by the run before", arriving(66, blocked(3, "limit_wc"))),
      quiet("an account thrice", times(3, () => event("11:40", "limit_wc"))),
      quiet("two accounts, and one without a name", [...blocked(2, "limit_wc"), event("11:40", "limit_wc", { user_name: "" })]),
      quiet("wrong passwords", blocked(3, "fp")),
      ...networked(blocked(3, "limit_wc"), "3"),
      ...framed(blocked(3, "limit_wc"), 1),
    ],
  },
};
