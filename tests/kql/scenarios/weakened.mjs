// Attack protection that is on and lets more through.

import { byProgram, call, fires, managed, quiet, set } from "../records.mjs";

const BRUTE_FORCE = "/api/v2/attack-protection/brute-force-protection";
const THROTTLING = "/api/v2/attack-protection/suspicious-ip-throttling";
const BOTS = "/api/v2/attack-protection/bot-detection";

const raised = call("11:40", "patch", BRUTE_FORCE, { max_attempts: 11 });
const says = (what, path, body, Change) => fires(what, [call("11:40", "patch", path, body)], [{ details: { Change } }]);
const stage = (name, settings) => ({ stage: { [name]: settings } });
const opened = (entry, path = THROTTLING, method = "patch") => call("11:40", method, path, { allowlist: [entry] });

export default {
  "attack-protection-weakened": {
    cases: [
      fires("more failures at an account", [raised], [{
        title: "Auth0 - more failures at an account are let through since admin@example.com changed brute-force-protection",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Protection: "brute-force-protection", Change: "more failures at an account are let through" },
      }]),
      says("more than fit into 32 bits", THROTTLING, stage("pre-login", { max_attempts: 3_000_000_000 }),
        "more failures from an address are let through"),
      says("more sign-ups than fit", THROTTLING, stage("pre-user-registration", { max_attempts: 3_000_000_000 }),
        "more sign-ups from an address are let through"),
      says("more failures at an account than fit", BRUTE_FORCE, { max_attempts: 3_000_000_000 }, "more failures at an account are let through"),
      ...[["more than 64 bits hold", 1e19], ["beyond all bounds", 1e300]].map(([what, most]) => fires(what, [
        call("11:40", "patch", BRUTE_FORCE, { max_attempts: most }),
        call("11:40", "patch", THROTTLING, stage("pre-login", { max_attempts: most })),
        call("11:40", "patch", THROTTLING, stage("pre-user-registration", { max_attempts: most })),
        call("11:40", "patch", THROTTLING, stage("pre-custom-token-exchange", { max_attempts: most }))], 4)),
      says("a pause of no whole milliseconds", THROTTLING, stage("pre-login", { rate: 0.5 }), "a throttled address may sign in sooner"),
      says("more failures from an address", THROTTLING, stage("pre-login", { max_attempts: 101 }),
        "more failures from an address are let through"),
      says("more sign-ups", THROTTLING, stage("pre-user-registration", { max_attempts: 51 }),
        "more sign-ups from an address are let through"),
      says("a shorter pause", THROTTLING, stage("pre-login", { max_attempts: 100, rate: 863_999 }),
        "a throttled address may sign in sooner"),
      says("a shorter pause between sign-ups", THROTTLING, stage("pre-user-registration", { rate: 1_199 }),
        "a throttled address may sign up sooner"),
      says("more exchanges", THROTTLING, stage("pre-custom-token-exchange", { max_attempts: 11 }),
        "more failed token exchanges from an address are let through"),
      says("a shorter pause between exchanges", THROTTLING, stage("pre-custom-token-exchange", { max_attempts: 10, rate: 599_999 }),
        "a throttled address may exchange tokens sooner"),
      says("less found", BOTS, { bot_detection_level: "Low" }, "bot detection finds less"),
      fires("by each method", [
        call("11:40", "POST", BRUTE_FORCE, { max_attempts: 11 }), call("11:40", "Put", BRUTE_FORCE, { max_attempts: 11 }),
        call("11:40", "PATCH", "/v2/Attack-Protection/brute-force-protection/", { max_attempts: 11 }),
      ], 3),
      quiet("the limits themselves", [
        call("11:40", "patch", BRUTE_FORCE, { max_attempts: 10 }),
        call("11:40", "patch", THROTTLING, { stage: {
          "pre-login": { max_attempts: 100, rate: 864_000 }, "pre-user-registration": { max_attempts: 50, rate: 1_200 },
          "pre-custom-token-exchange": { max_attempts: 10, rate: 600_000 } } }),
        call("11:40", "patch", BOTS, { bot_detection_level: "medium" }),
      ]),
      quiet("looked at, or something else", [
        call("11:40", "get", BRUTE_FORCE, { max_attempts: 11 }),
        call("11:40", "patch", "/api/v2/tenants/settings", { max_attempts: 11 }),
      ]),
      fires("by a program", [byProgram(raised)], [{ entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(raised, 1),
    ],
  },
  "allow-list-opened": {
    cases: [
      set("known", "dynamic(['192.0.2.77'])", quiet("a known one", [opened("192.0.2.77")])),
      fires("a stranger's address", [opened("192.0.2.77")], [{
        title: "Auth0 - 192.0.2.77 is exempt from suspicious-ip-throttling",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "IP 192.0.2.77"],
        details: { Protection: "suspicious-ip-throttling", Entries: '["192.0.2.77"]', Count: "1" },
      }]),
      fires("networks among private addresses", [call("11:40", "PATCH", BRUTE_FORCE, {
        allowlist: ["10.0.0.1", "2001:db8::/32", "198.51.100.0/24", "198.51.100.0/24"] })], [
        { title: "Auth0 - 2001:db8::/32 is exempt from brute-force-protection", details: { Count: "2" } }]),
      fires("by each method", [opened("192.0.2.1", BOTS, "POST"), opened("192.0.2.1", BOTS, "Put")], 2),
      fires("what only looks private", ["172.15.0.1", "172.32.0.1", "192.169.0.1", "11.0.0.1", "210.1.1.1"].map((it) => opened(it)), 5),
      fires("a network that has public addresses beside private ones", ["10.0.0.0/7", "127.0.0.1/4", "192.168.0.0/15", "192.168.0.0/8",
        "172.16.0.0/11", "172.16.0.0/9", "fc00::/6", "fd00::/1"].map((it) => opened(it)), 8),
      quiet("private ones", [call("11:40", "patch", THROTTLING, { allowlist: ["10.1.2.3", "127.0.0.1", "192.168.0.0/16",
        "172.16.0.1", "172.29.0.1", "172.31.0.1", "FD00::1", "fc00::/7"] })]),
      quiet("private networks", [call("11:40", "patch", THROTTLING, { allowlist: ["10.0.0.0/8", "10.1.0.0/19", "127.0.0.0/8",
        "192.168.2.0/24", "192.168.2.1/32", "172.16.0.0/12", "172.20.0.0/20", "fd00:1:2::/48", "fd00:1::/64", "fd00::1/128"] })]),
      quiet("none", [call("11:40", "patch", THROTTLING, { allowlist: [] }), call("11:40", "patch", THROTTLING, { enabled: true }),
        call("11:40", "patch", THROTTLING, { allowlist: [""] })]),
      quiet("looked at, or something else", [opened("192.0.2.1", THROTTLING, "get"), opened("192.0.2.1", "/api/v2/tenants/settings")]),
      fires("by a program", [byProgram(opened("192.0.2.77"))], [{ entities: ["Account robot", "IP 192.0.2.44", "IP 192.0.2.77"] }]),
      ...managed(opened("192.0.2.77"), 1),
    ],
  },
};
