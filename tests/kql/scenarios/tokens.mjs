// Refresh tokens that are used by more than those who got them.

import { daily, event, fires, framed, quiet, windowed } from "../records.mjs";

const FAMILY = { details: { familyId: "fam1" } };
const exchanged = (clock, user_agent, fields = {}) => event(clock, "sertft", { user_agent, ...FAMILY, ...fields });
const at = (clock, latitude, longitude, fields = {}) =>
  event(clock, "sertft", { ...FAMILY, location_info: { country_name: `C${latitude}`, latitude, longitude }, ...fields });
// Of tokens that are not replaced at each use, a record names the session alone.
const session = (session_id) => ({ details: { refresh_token: { access: "offline", session_id } } });
const two = [exchanged("11:10", "Firefox/1"), exchanged("11:40", "curl/8")];

const NEAR = "what is seen from behind decides near the date line only, and there no longitude is near 0";

export default {
  "refresh-token-user-agents": {
    cases: [
      fires("at two addresses", [two[0], { ...two[1], ip: "192.0.2.1" }], [
        { entities: ["Account jane@example.com", "IP 198.51.100.7", "CloudApplication Shop"] }]),
      fires("two", two, [{
        title: "Auth0 - 2 programs used the refresh token of jane@example.com",
        severity: "Medium",
        entities: ["Account jane@example.com", "IP 198.51.100.7", "CloudApplication Shop"],
        details: { Agents: "2", UserAgents: '["Firefox/1","curl/8"]', Exchanges: "2" },
      }]),
      fires("one of them is refused, and no name", [exchanged("11:10", "Firefox/1", { user_name: "" }),
        exchanged("11:40", "curl/8", { type: "ferrt", user_name: "" })], ["Medium: Auth0 - 2 programs used the refresh token of auth0|1"]),
      fires("of a session, without rotation", two.map((it) => ({ ...it, ...session("s1") })), 1),
      quiet("of two sessions", two.map((it, n) => ({ ...it, ...session(`s${n}`) }))),
      quiet("an update", [exchanged("11:10", "Firefox/1.0"), exchanged("11:40", "Firefox/12.3")]),
      quiet("without a user agent", [exchanged("11:10", "Firefox/1"), exchanged("11:40", "")]),
      quiet("of two sign-ins, or of none", [exchanged("11:10", "Firefox/1"), exchanged("11:40", "curl/8", { details: { familyId: "fam2" } }),
        exchanged("11:10", "Firefox/1", { details: {} }), exchanged("11:40", "curl/8", { details: {} })]),
      quiet("others", two.map((it) => ({ ...it, type: "seacft" }))),
      ...framed(two, 1),
      ...daily(two, 1),
    ],
  },
  "refresh-token-far-places": {
    survivors: {
      "| extend Eastward = iff(Longitude < 0, Longitude + 360, Longitude) [0 -> -1]": NEAR,
      "| extend Eastward = iff(Longitude < 0, Longitude + 360, Longitude) [0 -> 1]": NEAR,
    },
    cases: [
      fires("to the north", [at("11:10", 50, 10), at("11:40", 60, 10, { ip: "192.0.2.1" })], [{
        title: "Auth0 - Refresh token of jane@example.com used far apart: C50, C60",
        severity: "Medium",
        entities: ["Account jane@example.com", "IP 198.51.100.7", "CloudApplication Shop"],
        details: { Countries: '["C50","C60"]', Addresses: '["198.51.100.7","192.0.2.1"]' },
      }]),
      fires("to the east, refused", [at("11:10", 50, 10), at("11:40", 50, 20, { type: "ferrt", user_name: "" })], 1),
      fires("of a session, without rotation", [at("11:10", 50, 10, session("s1")), at("11:40", 60, 10, session("s1"))], 1),
      quiet("of two sessions", [at("11:10", 50, 10, session("s1")), at("11:40", 60, 10, session("s2"))]),
      fires("across the date line", [at("11:10", 0, 175), at("11:40", 0, -175)], 1),
      fires("across Greenwich", [at("11:10", 0, 5), at("11:40", 0, -5)], 1),
      quiet("near, across the date line", [at("11:10", 0, 176), at("11:40", 0, -175)]),
      quiet("near, across Greenwich", [at("11:10", 0, 4), at("11:40", 0, -5.5)]),
      quiet("near", [at("11:10", 50, 10), at("11:40", 59.5, 19.5)]),
      quiet("of two sign-ins, or of none", [at("11:10", 50, 10), at("11:40", 60, 10, { details: { familyId: "fam2" } }),
        at("11:10", 50, 10, { details: {} }), at("11:40", 60, 10, { details: {} })]),
      quiet("of half a place", [at("11:10", 50, 10), event("11:40", "sertft", { ...FAMILY, location_info: { latitude: 70 } }),
        event("11:40", "sertft", { ...FAMILY, location_info: { longitude: 70 } }), event("11:40", "sertft", FAMILY)]),
      quiet("others", [at("11:10", 50, 10, { type: "seacft" }), at("11:40", 60, 10, { type: "seacft" })]),
      fires("the longer way, to the north", [at("10:40", 50, 10), at("11:10", 60, 10), at("11:40", 70, 10)], [
        "Medium: Auth0 - Refresh token of jane@example.com used far apart: C50, C60"]),
      fires("the longer way of two windows", [at("10:40", 50, 10), at("11:10", 61, 11), at("11:40", 81, 10)], [
        "Medium: Auth0 - Refresh token of jane@example.com used far apart: C61, C81"]),
      fires("the longer way of two windows, of which the other is wider", [at("10:40", 50, 10), at("11:10", 61, 15), at("11:40", 81, 13)], [
        "Medium: Auth0 - Refresh token of jane@example.com used far apart: C61, C81"]),
      fires("the longer way of two windows, to the east", [at("10:40", 50, 10), at("11:10", 51, 21), at("11:40", 50, 41)], [
        "Medium: Auth0 - Refresh token of jane@example.com used far apart: C51, C50"]),
      ...windowed((first, second) => [at(first, 50, 10), at(second, 60, 10)], 1),
    ],
  },
};
