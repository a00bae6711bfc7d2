// Sign-ins: guessed passwords, and users and tokens in places where they cannot be.

import { arriving, earlier, event, fires, framed, networked, quiet, set, times, two, user, windowed } from "../records.mjs";

/** An event of each of these users, a second apart, from one address. */
const ofUsers = (count, type, { minute = "11:10", from = 0, ...fields } = {}) =>
  times(count, (n) => event(`${minute}:${two(n)}`, type, { ...user(`user${n + from}@example.com`), ...fields }));

const at = (clock, city, ip, latitude, longitude, fields = {}, type = "s") =>
  event(clock, type, { ip, location_info: { city_name: city, country_name: "X", latitude, longitude }, ...fields });
const berlin = (clock, fields) => at(clock, "Berlin", "203.0.113.5", 52.5, 13.4, fields);
const sydney = (clock, fields, type) => at(clock, "Sydney", "203.0.113.6", -33.9, 151.2, fields, type);
const journey = ["Medium: Auth0 - jane@example.com signed in from Berlin, X and from Sydney, X"];

const reused = event("11:50", "ferrt", { description: "Unsuccessful Refresh Token exchange, reused refresh token detected" });

const TWENTY_ADDRESSES = JSON.stringify(times(20, (n) => `192.0.2.${n}`));

export default {
  "password-spraying": {
    survivors: {
      "let events = Auth0Events(eventcode_in=dynamic(['s', 'sepft', 'scoa', 'seotpft', 'seoobft', 'sercft', 'fp', 'fu', 'fepft', 'fepotpft', 'fcoa'])) [(eventcode_in=dynamic(['s', 'sepft', 'scoa', 'seotpft', '... -> nothing]":
        "the successes and the failures are chosen by their codes further down",
    },
    cases: [
      fires("fifteen accounts", ofUsers(15, "fp"), [{
        title: "Auth0 - 198.51.100.7 tried 15 accounts",
        severity: "Medium",
        entities: ["IP 198.51.100.7"],
        details: { Accounts: "15", Attempts: "15", UnknownAccounts: "0", AccountsEntered: "0" },
      }]),
      fires("before and after the full hour, some unknown",
        [...ofUsers(8, "fp", { minute: "10:59" }), ...ofUsers(7, "fu", { minute: "11:00", from: 8 })],
        [{ details: { Accounts: "15", UnknownAccounts: "7" } }]),
      ...["fepft", "fepotpft"].map((type) => fires(`by a backend (${type})`, ofUsers(15, type), 1)),
      fires("across origins", ofUsers(15, "fcoa"), 1),
      fires("and got in", [...ofUsers(15, "fp"), event("11:20", "s", user("user3@example.com"))], [
        { severity: "High", details: { AccountsEntered: "1" } }]),
      ...["sepft", "scoa", "seotpft", "seoobft", "sercft"].map((type) => fires(`and got in (${type})`, [...ofUsers(15, "fp"), event("11:20", type)], [
        { severity: "High" }])),
      fires("somebody signed in before", [...ofUsers(15, "fp"), event("11:09", "s")], [{ severity: "Medium" }]),
      fires("signed in at the first failure", [...ofUsers(15, "fp"), event("11:10:00", "s")], [{ severity: "High" }]),
      fires("somebody signed in elsewhere", [...ofUsers(15, "fp"), event("11:20", "s", { ip: "192.0.2.1" })], [{ severity: "Medium" }]),
      fires("a token came", [...ofUsers(15, "fp"), event("11:20", "sertft")], [{ severity: "Medium" }]),
      fires("got in after the first half of a window",
        [...ofUsers(8, "fp", { minute: "10:59" }), ...ofUsers(7, "fp", { minute: "11:01", from: 8 }),
          event("11:00:30", "s", user("user3@example.com"))], [{ severity: "High" }]),
      fires("the fullest window", [...ofUsers(15, "fp", { minute: "10:40" }), ...ofUsers(3, "fp", { minute: "11:15", from: 20 })],
        [{ details: { Accounts: "18" } }]),
      fires("half an hour between the first and the last", [...ofUsers(8, "fp", { minute: "11:30" }),
        ...ofUsers(7, "fp", { minute: "11:59", from: 8 })], 1),
      quiet("fourteen accounts", ofUsers(14, "fp")),
      quiet("fourteen, and one without a name", [...ofUsers(14, "fp"), event("11:12", "fp", { user_name: "" })]),
      quiet("not within an hour", [...ofUsers(8, "fp", { minute: "10:20" }), ...ofUsers(7, "fp", { minute: "11:50", from: 8 })]),
      quiet("from two addresses", [...ofUsers(8, "fp"), ...ofUsers(7, "fp", { from: 8, ip: "198.51.100.8" })]),
      quiet("from no address", ofUsers(15, "fp", { ip: null })),
      ...networked(ofUsers(15, "fp"), "f", { severity: "Medium" }),
      ...networked([...ofUsers(15, "fp"), event("11:20", "s")], "f", { severity: "High" }),
      quiet("one user who forgot the password", times(20, (n) => event(`11:10:${two(n)}`, "fp"))),
      quiet("second factors", ofUsers(15, "gd_auth_failed")),
      fires("a parameter of a URL is no name", times(15, (n) =>
        event(`11:10:${two(n)}`, "fp", user(`a?token=user${n}@example.com`))), 1),
      ...windowed((first, second) => [...ofUsers(8, "fp", { minute: first }), ...ofUsers(7, "fp", { minute: second, from: 8 })], 1),
    ],
  },
  "impossible-travel": {
    survivors: {
      "| extend East = iff(East > 180, 360 - East, East)   // The other way round the earth is shorter. [180 -> 179]":
        "half the earth is far away, either way round",
      "| extend East = iff(East > 180, 360 - East, East)   // The other way round the earth is shorter. [180 -> 181]":
        "half the earth is far away, either way round",
    },
    cases: [
      fires("from Berlin to Sydney", [berlin("11:10"), sydney("11:40")], [{
        title: "Auth0 - jane@example.com signed in from Berlin, X and from Sydney, X",
        severity: "Medium",
        entities: ["Account jane@example.com", "IP 203.0.113.6", "IP 203.0.113.5"],
        details: { From: "Berlin, X", To: "Sydney, X", Jumps: "1" },
      }]),
      ...["scoa", "sens"].map((type) => fires(`by ${type}`, [berlin("11:10"), sydney("11:40", {}, type)], 1)),
      ...[
        ["['2001:db8:0:1:']", "2001:db8:0:1::5", 0],
        ["['2001:DB8:0:1::5']", "2001:db8:0:1::5", 0],
        ["['2001:db8:0:1::5']", "2001:db8:0:1::55", 1],
        ["['2001:db8:0:1']", "2001:db8:0:12::5", 1],
        ["['::ffff:10.1.2.3']", "::ffff:10.1.2.3", 0],
        ["['::ffff:10.1.2.3']", "::ffff:10a1.2.3", 1],
        ["['203.0.113.']", "203.0.113.6", 0],
        ["['203.0.113.']", "::ffff:203.0.113.6", 0],
        ["['203.0.113.']", "203.0.11.36", 1],
        ["['203.0.113.6']", "203.0.113.6", 0],
        ["['203.0.113.6']", "203.0.113.60", 1],
        ["['3.0.113.6']", "203.0.113.6", 1],
        ["['203.0.113.', '2001:db8:']", "2001:db8::1", 0],
        ["['203.0.113.', '2001:db8:']", "198.51.100.1", 1],
        ["['2001:db8:', '2001:db9:']", "2001:db9::1", 0],
      ].map(([known, ip, alerts]) => set("knownAddresses", `dynamic(${known})`,
        fires(`${known} known, from ${ip}`, [{ ...berlin("11:10"), ip: "192.0.2.1" }, { ...sydney("11:40"), ip }], alerts))),
      fires("to the north", [berlin("11:10"), at("11:40", "North", "203.0.113.6", 62.5, 13.4)], 1),
      fires("to the south", [berlin("11:10"), at("11:40", "South", "203.0.113.6", 42.5, 13.4)], 1),
      fires("to the east", [berlin("11:10"), at("11:40", "East", "203.0.113.6", 52.5, 23.45)], 1),
      fires("to the west", [berlin("11:10"), at("11:40", "West", "203.0.113.6", 52.5, 3.4)], 1),
      quiet("not so far to the north-east", [berlin("11:10"), at("11:40", "Near", "203.0.113.6", 62.4, 23.3)]),
      quiet("not so far to the south-west", [berlin("11:10"), at("11:40", "Near", "203.0.113.6", 42.6, 3.5)]),
      fires("across the date line, far", [at("11:10", "A", "203.0.113.5", 0, 175), at("11:40", "B", "203.0.113.6", 0, -175)], 1),
      quiet("across the date line, near", [at("11:10", "A", "203.0.113.5", 0, 176), at("11:40", "B", "203.0.113.6", 0, -175)]),
      quiet("across half the earth less a bit", [at("11:10", "A", "203.0.113.5", 0, 0.5), at("11:40", "B", "203.0.113.6", 0, 0.5)]),
      fires("half the earth", [at("11:10", "A", "203.0.113.5", 0, -90), at("11:40", "B", "203.0.113.6", 0, 90.5)], 1),
      fires("an hour between", [berlin("10:40"), sydney("11:40")], 1),
      quiet("more than an hour", [berlin("10:40"), sydney("11:41")]),
      quiet("long before", [berlin("08:10"), sydney("11:40")]),
      quiet("long before, and arrived at once days later", arriving(30, earlier(72, [berlin("08:10"), sydney("11:40")]))),
      fires("at the same time", [berlin("11:40"), sydney("11:40")], 1),
      fires("in the same quarter of an hour, the later place first by address", [berlin("11:44"), sydney("11:31")], [
        "Medium: Auth0 - jane@example.com signed in from Sydney, X and from Berlin, X"]),
      quiet("by one address", [berlin("11:10"), { ...sydney("11:40"), ip: "203.0.113.5" }]),
      quiet("two users", [berlin("11:10"), sydney("11:40", user("joe@example.com"))]),
      quiet("of nobody", [berlin("11:10", { user_id: "" }), sydney("11:40", { user_id: "" })]),
      quiet("failed, or by a backend", [berlin("11:10"), sydney("11:20", {}, "fp"), sydney("11:21", {}, "sepft")]),
      quiet("no place known", [berlin("11:10"), event("11:40", "s", { ip: "203.0.113.6" })]),
      quiet("half a place known", [berlin("11:10"), event("11:40", "s", { ip: "203.0.113.6", location_info: { latitude: -33.9 } }),
        event("11:41", "s", { ip: "203.0.113.7", location_info: { longitude: 151.2 } })]),
      fires("without a name, and with a country alone", [
        at("11:10", null, "203.0.113.5", 52.5, 13.4, { user_name: "" }), at("11:40", "", "203.0.113.6", -33.9, 151.2, { user_name: "" })],
      ["Medium: Auth0 - auth0|1 signed in from X and from X"]),
      fires("by the minute", [...times(60, (n) => berlin(`10:${two(n)}`)), sydney("11:00")], [{ details: { Jumps: "4" } }]),
      fires("there and back", [berlin("11:10"), sydney("11:30"), berlin("11:50")], [{ details: { Jumps: "2" } }]),
      fires("the earlier one comes late", [...arriving(10, earlier(22, [berlin("11:10")])),
        ...arriving(1000, earlier(22, [sydney("11:40")]))], 1),
      fires("the later one comes late", [...arriving(1000, earlier(22, [berlin("11:10")])),
        ...arriving(10, earlier(22, [sydney("11:40")]))], 1),
      ...framed([berlin("11:10"), sydney("11:40")], journey),
    ],
  },
  "refresh-token-reuse": {
    survivors: {
      "let times = 1;   // Raise it for applications that are known to repeat calls. [1 -> 0]": "a user with a row was seen once at least",
    },
    cases: [
      fires("at two addresses", [reused, { ...reused, ip: "192.0.2.1" }], [
        { entities: ["Account jane@example.com", "IP 198.51.100.7", "CloudApplication Shop"] }]),
      fires("reused", [reused], [{
        title: "Auth0 - Refresh token of jane@example.com used a second time",
        severity: "Medium",
        entities: ["Account jane@example.com", "IP 198.51.100.7", "CloudApplication Shop"],
        details: { Times: "1" },
      }]),
      fires("in other words", [event("11:50", "ferrt", { description: "Token Reuse detected" }), event("11:51", "ferrt", {
        description: "A REUSED token" })], [{ details: { Times: "2" } }]),
      fires("without a name", [{ ...reused, user_name: null }], ["Medium: Auth0 - Refresh token of auth0|1 used a second time"]),
      fires("of two applications", [reused, { ...reused, client_id: "forum" }], 2),
      set("times", "2", quiet("once, where a call or two are repeated", [reused])),
      fires("from more addresses and programs than an alert shows", times(21, (n) => ({ ...reused, ip: `192.0.2.${n}`, user_agent: `App/${n}` })), [
        { details: { Times: "21", Addresses: TWENTY_ADDRESSES, UserAgents: JSON.stringify(times(20, (n) => `App/${n}`)) } }]),
      quiet("expired, unknown, exchanged", [event("11:50", "ferrt", { description: "Unknown or invalid refresh token." }),
        event("11:50", "fertft", { description: "reused refresh token" }), event("11:51", "sertft")]),
      ...framed([reused], 1),
    ],
  },
};
