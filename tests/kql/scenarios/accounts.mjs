// Accounts that come in great numbers, and what they are known by.

import { arriving, daily, earlier, event, fires, framed, networked, quiet, set, times, unnamed, user, windowed } from "../records.mjs";

const of = (count, type, { clock = "11:10", from = 0, ...fields } = {}) =>
  times(count, (n) => event(clock, type, { ...user(`user${n + from}@example.com`), ...fields }));
const halves = (count, make) => (first, second) => [...make(Math.ceil(count / 2), first, 0), ...make(Math.floor(count / 2), second, Math.ceil(count / 2))];

const blocked = event("11:00", "limit_mu");
const entered = event("11:30", "s");
const leaked = (count, fields = {}) => of(count, "pwd_leak", { clock: "11:00", ...fields });

const wrong = (count, { clock = "11:10", type = "gd_auth_failed", ...fields } = {}) => times(count, () => event(clock, type, fields));
const right = (clock, type = "gd_auth_succeed") => event(clock, type);

const sent = (count, { clock = "11:10", from = 0, ...fields } = {}) =>
  times(count, (n) => event(clock, ["gd_send_sms", "gd_send_voice", "cs"][n % 3], { ip: `203.0.113.${n + from}`, ...fields }));

const enrolled = (n, fields = {}) => event("11:10", "gd_enrollment_complete", {
  ip: `203.0.113.${n}`, details: { authenticator: { phone_number: 1_000_000 + n } }, ...fields });
const device = (n, authenticator, fields = {}) => event("11:10", "gd_enrollment_complete", {
  ...user(`user${n}@example.com`), details: { authenticator }, ...fields });

const thrown = (count, domain = "mailinator.com", fields = {}) =>
  times(count, (n) => event("11:10", "ss", { ...user(`a${n}@${domain}`), ...fields }));
const DOMAINS = ["mailinator.com", "guerrillamail.com", "10minutemail.com", "yopmail.com", "temp-mail.org", "trashmail.com", "maildrop.cc",
  "getnada.com", "throwawaymail.com", "sharklasers.com", "dispostable.com", "mintemail.com"];

const signedUp = (count, hours = 25, fields = {}) => earlier(hours, of(count, "ss", { clock: "12:00", connection: "Users", tenant_name: "acme", ...fields }));
const verified = (n, hours, details = {}) => earlier(hours, [event("12:00", "sv", { user_name: "", details, ...n })]);

/** Records of the hours of one day: how many at the beginning of which hour. */
const hours = (days, clock, count) => earlier(days * 24, times(count, () => event(clock, "s", { tenant_name: "acme" })));
const busy = (count = 30) => [...hours(1, "09:00", count), ...hours(7, "09:59", count)];
const now = hours(0, "10:00", 1);
const WEEK = "the oldest hour that counts is within the query period, which the service reads no further back than";

export default {
  "sign-in-from-flagged-address": {
    survivors: {
      "| where isnotempty(IPAddress) [| where isnotempty(IPAddress) -> nothing]": "where one side has no record without an address, the join has none",
    },
    cases: [
      fires("two of them", [blocked, entered, { ...entered, ...user("joe@example.com") }], [
        { details: { SignIns: "2" }, entities: ["IP 198.51.100.7", "Account jane@example.com"] }]),
      fires("signed in", [blocked, entered], [{
        title: "Auth0 - jane@example.com came in from 198.51.100.7, which was flagged before",
        severity: "High",
        entities: ["IP 198.51.100.7", "Account jane@example.com"],
        details: { SignIns: "1", SignUps: "0", Blocks: "1", LeakedAccounts: "0", Accounts: '["jane@example.com"]' },
      }]),
      ...["scoa", "sens", "sepft", "seotpft", "seoobft", "sercft", "sepkotpft", "sepkoobft", "sepkrcft", "sede"].map((type) => fires(`signed in (${type})`, [blocked, { ...entered, type }], [{ details: { SignIns: "1" } }])),
      fires("signed up, without a name", [blocked, { ...entered, type: "ss", user_name: "" }], [
        { title: "Auth0 - auth0|1 came in from 198.51.100.7, which was flagged before", details: { SignIns: "0", SignUps: "1" } }]),
      fires("leaked passwords of three, of each kind", [...leaked(1), ...of(1, "signup_pwd_leak", { from: 1 }), ...of(1, "reset_pwd_leak", { from: 2 }), entered], [
        { details: { Blocks: "0", LeakedAccounts: "3" } }]),
      quiet("of two", [...leaked(2), ...leaked(2), entered]),
      quiet("of two, and a block elsewhere", [...leaked(2), { ...blocked, ip: "192.0.2.1" }, entered]),
      fires("a name at a block is none of a leak", [...leaked(2), { ...blocked, ip: "198.51.100.7" }, entered], [{ details: { LeakedAccounts: "2" } }]),
      quiet("before, and both arrived days later, first the block", [...arriving(31, earlier(72, [blocked])), ...arriving(30, earlier(73, [entered]))]),
      quiet("before, or at the same time", [blocked, { ...entered, date: blocked.date }, event("10:59", "s")]),
      quiet("from elsewhere, from nowhere", [blocked, { ...entered, ip: "192.0.2.1" }, { ...blocked, ip: "" }, { ...entered, ip: null }]),
      quiet("failed, or a token", [blocked, { ...entered, type: "fp" }, { ...entered, type: "sertft" }]),
      quiet("other flags", [event("11:00", "limit_wc"), event("11:00", "limit_sul"), entered]),
      fires("six days after", [...earlier(24 * 6.9, [event("12:00", "limit_mu")]), entered], 1),
      quiet("who had signed in there more than a day before", [...earlier(24.6, [entered]), blocked, entered]),
      fires("others had, or from elsewhere", [
        ...earlier(27, [{ ...entered, ...user("joe@example.com") }, { ...entered, ip: "192.0.2.1" }]), { ...blocked, ip: "192.0.2.1" }, blocked, entered], 1),
      quiet("who had, nearly two weeks before", [...earlier(24 * 14 - 1, [entered]), blocked, entered]),
      fires("who had, more than two weeks before", [...earlier(24 * 14, [entered]), blocked, entered], 1),
      quiet("who had, and it has been flagged for six days", [...earlier(24 * 8, [entered]), ...earlier(24 * 6.9, [blocked]), blocked, entered]),
      fires("less than a day before", [...earlier(24.4, [entered]), blocked, entered], 1),
      ...["", "***"].map((it) => fires(`somebody who is not known (${it})`, [...earlier(27, [{ ...entered, user_name: it, user_id: it }]), blocked, { ...entered, user_name: it, user_id: it }], 1)),
      quiet("more than a week after", [...earlier(24 * 7, [event("12:00", "limit_mu")]), entered]),
      quiet("nearly two weeks after", [...earlier(24 * 13, [event("12:00", "limit_mu")]), entered]),
      ...framed([entered], 1).map((it) => ({ ...it, records: [...earlier(48, [blocked]), ...it.records] })),
    ],
  },
  "second-factor-guessed": {
    cases: [
      quiet("seen by the run before, and then another record of the user", [
        ...arriving(66, earlier(22, wrong(10))), ...arriving(1, earlier(22, wrong(1, { type: "s" })))]),
      fires("from many addresses", wrong(21).map((it, n) => ({ ...it, ip: `192.0.2.${n}` })), [{
        entities: ["Account jane@example.com", "IP 192.0.2.0"],
        details: { Failures: "21", Addresses: JSON.stringify(times(20, (n) => `192.0.2.${n}`)) },
      }]),
      fires("ten wrong codes", wrong(10), [{
        title: "Auth0 - jane@example.com entered 10 wrong codes",
        severity: "Medium",
        entities: ["Account jane@example.com", "IP 198.51.100.7"],
        details: { Failures: "10", Limits: "0", GotIn: "false" },
      }]),
      fires("recovery codes too", [...wrong(5), ...wrong(5, { type: "gd_recovery_failed" })], [{ details: { Failures: "10" } }]),
      ...["gd_otp_rate_limit_exceed", "gd_recovery_rate_limit_exceed"].map((type) => fires(type, [event("11:10", type)], [
        { details: { Failures: "0", Limits: "1" } }])),
      ...["gd_auth_succeed", "gd_recovery_succeed"].map((type) => fires(`and then ${type}`, [...wrong(10), right("11:20", type)], [
        { severity: "High", details: { GotIn: "true" } }])),
      fires("a limit, and then in", [event("11:10", "gd_otp_rate_limit_exceed"), right("11:11")], [{ severity: "High" }]),
      fires("in before", [...wrong(10), right("11:05")], [{ severity: "Medium", details: { GotIn: "false" } }]),
      fires("in at the same time", [...wrong(10), right("11:10")], [{ severity: "Medium" }]),
      fires("the window in which somebody got in counts", [...wrong(10, { clock: "11:26" }), right("11:40"), ...wrong(3, { clock: "10:50" })], [
        "High: Auth0 - jane@example.com entered 10 wrong codes"]),
      fires("or else the fullest", [...wrong(10, { clock: "10:40" }), ...wrong(2, { clock: "11:10" }), event("11:20", "gd_otp_rate_limit_exceed")], [
        { details: { Failures: "12", Limits: "1" } }]),
      fires("or else the one with limits", [...wrong(10, { clock: "10:40" }), event("10:20", "gd_otp_rate_limit_exceed"), event("11:12", "gd_otp_rate_limit_exceed"),
        event("11:13", "gd_otp_rate_limit_exceed")], [{ details: { Failures: "10", Limits: "2" } }]),
      fires("one of them has the name, and none has the id", [...wrong(9, { user_name: "" }), ...wrong(1)], [
        "Medium: Auth0 - jane@example.com entered 10 wrong codes"]),
      fires("without a name", wrong(10, { user_name: "" }), ["Medium: Auth0 - auth0|1 entered 10 wrong codes"]),
      fires("without an id", wrong(10, { user_id: "" }), 1),
      ...["feotpft", "fercft", "fepotpft"].map((type) => fires(`by the API (${type})`, wrong(10, { type }), [{ details: { Failures: "10" } }])),
      fires("by the API, codes of texts", wrong(10, { type: "feoobft", description: "Invalid Binding_Code." }), 1),
      quiet("by the API, before the user has answered", wrong(10, { type: "feoobft", description: "Authorization pending" })),
      fires("by the API, one after the other", [...wrong(5, { type: "feotpft" }), ...wrong(5, { type: "feotpft", clock: "11:20" })], [
        { severity: "Medium", details: { GotIn: "false" } }]),
      quiet("each told twice", [...wrong(9), ...wrong(9, { type: "feotpft" })]),
      fires("each told twice, once by the API alone", [...wrong(9), ...wrong(10, { type: "feotpft" })], [{ details: { Failures: "10" } }]),
      ...["seotpft", "seoobft", "sercft", "sepkotpft", "sepkoobft", "sepkrcft"].map((type) => fires(`by the API, and then ${type}`, [...wrong(10, { type: "feotpft" }), right("11:20", type)], [
        { severity: "High", details: { GotIn: "true" } }])),
      quiet("nine", wrong(9)),
      quiet("of two users, or of nobody", [...wrong(5), ...wrong(5, user("joe@example.com")), ...wrong(10, { user_id: "", user_name: "" })]),
      quiet("right ones, pushes", [...times(10, () => right("11:10")), ...wrong(10, { type: "gd_send_pn" })]),
      ...windowed((first, second) => [...wrong(5, { clock: first }), ...wrong(5, { clock: second })], 1),
    ],
  },
  "sms-bombarding": {
    cases: [
      fires("fifteen to one account", sent(15), [{
        title: "Auth0 - 15 messages or calls for the account jane@example.com",
        severity: "Medium",
        entities: ["Account jane@example.com"],
        details: { Messages: "15", Limits: "0", Accounts: "1", Network: "" },
      }]),
      fires("at the wish of one address", times(15, (n) => sent(1, { ip: "192.0.2.9", ...user(`u${n}@example.com`) })[0]), [{
        title: "Auth0 - 15 messages or calls for the address 192.0.2.9", entities: ["IP 192.0.2.9"], details: { Accounts: "15" } }]),
      fires("to a number alone", sent(15, { user_name: "", user_id: "", details: { body: { phone_number: "+15550001" } } }), [
        "Medium: Auth0 - 15 messages or calls for the account +15550001"]),
      fires("stopped", [event("11:10", "limit_phone")], [{
        title: "Auth0 - 0 messages or calls for the account jane@example.com", details: { Limits: "1" } }]),
      fires("the fuller window", [...sent(15, { clock: "10:40" }), ...sent(2, { from: 20 })], [{ details: { Messages: "17" } }]),
      fires("the window with more limits", [...sent(15, { clock: "10:40" }), event("11:10", "limit_phone")], [{ details: { Messages: "15", Limits: "1" } }]),
      quiet("fourteen", sent(14)),
      ...networked(times(15, (n) => sent(1, user(`u${n}@example.com`))[0]), "f"),
      fires("half of them without the name", [...sent(8), ...sent(7, { from: 8, user_name: "" })], [
        "Medium: Auth0 - 15 messages or calls for the account jane@example.com"]),
      quiet("of two accounts, or nobody's", [...sent(7), ...sent(7, { from: 7, ...user("joe@example.com") }), ...sent(15, { user_name: "", user_id: "" })]),
      quiet("nobody's from nowhere", sent(15, { user_name: "", user_id: "", ip: "" })),
      quiet("mails and pushes", [...of(15, "cls", user("a@example.com")), ...of(15, "gd_send_pn", user("a@example.com"))]),
      ...windowed(halves(15, (count, clock, from) => sent(count, { clock, from })), 1),
    ],
  },
  "many-phone-numbers": {
    cases: [
      fires("three of one account", times(3, (n) => enrolled(n)), [{
        title: "Auth0 - 3 phone numbers were enrolled by the account jane@example.com",
        severity: "Medium",
        entities: ["Account jane@example.com"],
        details: { Numbers: "3", Accounts: "1", Network: "" },
      }]),
      fires("changed, at one address", times(3, (n) => enrolled(n, { type: "gd_update_device_account", ip: "192.0.2.9", ...user(`u${n}`) })), [{
        title: "Auth0 - 3 phone numbers were enrolled by the address 192.0.2.9", entities: ["IP 192.0.2.9"], details: { Accounts: "3" } }]),
      ...networked(times(3, (n) => enrolled(n, user(`u${n}`))), "3"),
      fires("without a name", times(3, (n) => enrolled(n, { user_name: "" })), [
        "Medium: Auth0 - 3 phone numbers were enrolled by the account auth0|1"]),
      fires("known by the enrolment", times(3, (n) => enrolled(n, { details: { enrollment: { _id: `dev_${n}`, phone_number: `+1555000${n}` } } })), [
        { details: { Numbers: "3" } }]),
      quiet("two, one without a number", [enrolled(1), enrolled(2), enrolled(2), event("11:10", "gd_enrollment_complete")]),
      fires("one of them without the name", [enrolled(1), enrolled(2), enrolled(3, { user_name: "" })], [
        "Medium: Auth0 - 3 phone numbers were enrolled by the account jane@example.com"]),
      quiet("of two accounts", [enrolled(1), enrolled(2), enrolled(3, user("joe@example.com"))]),
      quiet("of nobody, nowhere", times(3, (n) => enrolled(n, { user_id: "", user_name: "", ip: "" }))),
      quiet("begun", times(3, (n) => enrolled(n, { type: "gd_start_enroll" }))),
      ...framed(times(3, (n) => enrolled(n)), 1),
      ...daily(times(3, (n) => enrolled(n)), 1),
    ],
  },
  "authenticator-of-many-users": {
    cases: [
      fires("at many addresses", times(3, (n) => device(n, { id: "d" }, { ip: `192.0.2.${n}` })), [
        { entities: ["Account user0@example.com", "IP 192.0.2.0"] }]),
      fires("a phone", times(3, (n) => device(n, { phone_number: 5_550_001 })), [{
        title: "Auth0 - One authenticator is the second factor of 3 users",
        severity: "High",
        entities: ["Account user0@example.com", "IP 198.51.100.7"],
        details: { Device: "5550001", Users: "3", Accounts: '["user0@example.com","user1@example.com","user2@example.com"]' },
      }]),
      ...["identifier", "device_id", "id"].map((name) => fires(`an app by its ${name}`, times(3, (n) => device(n, { [name]: "dev_1" },
        { type: "gd_update_device_account", user_name: "" })), [{ entities: ["Account auth0|user0@example.com", "IP 198.51.100.7"], details: { Device: "dev_1" } }])),
      ...["phone_number", "identifier"].map((name) => fires(`by the ${name} of the enrolment`, times(3, (n) => device(n, { id: `push|dev_${n}` },
        { details: { authenticator: { id: `push|dev_${n}`, type: "push" }, enrollment: { _id: `dev_${n}`, [name]: "one" } } })), [
        { details: { Device: "one", Users: "3" } }])),
      fires("an app that the record names beside it", times(3, (n) => device(n, { id: `push|dev_${n}` },
        { details: { authenticator: { id: `push|dev_${n}`, type: "push" }, device_id: "one" } })), [{ details: { Device: "one", Users: "3" } }]),
      quiet("two users", [device(1, { id: "d" }), device(2, { id: "d" }), device(2, { id: "d" })]),
      quiet("two phones, none, and nobody's", [device(1, { id: "d" }), device(2, { id: "d" }), device(3, { id: "e" }),
        ...times(3, (n) => device(n, { phone_number: "" })), ...times(3, () => device(1, { id: "f" }, { user_id: "" })), device(4, { id: "d" }, { user_id: "" })]),
      quiet("begun", times(3, (n) => device(n, { id: "d" }, { type: "gd_start_enroll" }))),
      ...framed(times(3, (n) => device(n, { id: "d" })), 1),
    ],
  },
  "sign-ups-from-one-address": {
    cases: [
      fires("ten, some refused", [...of(6, "ss"), ...of(4, "fs", { from: 6 })], [{
        title: "Auth0 - 198.51.100.7 signed up 10 accounts",
        severity: "Medium",
        entities: ["IP 198.51.100.7"],
        details: { Count: "10", Made: "6" },
      }]),
      fires("some with leaked passwords", [...of(6, "ss"), ...of(4, "signup_pwd_leak", { from: 6 })], [{ details: { Count: "10", Made: "6" } }]),
      fires("known by their mail, their ids or not at all", [
        ...times(5, (n) => event("11:10", "ss", { user_name: "", user_id: "", details: { body: { email: `M${n % 4}@example.com` } } })),
        ...times(5, (n) => event("11:10", "ss", { user_name: "", user_id: `auth0|${n}` })), event("11:10", "fs", { user_name: "", user_id: "" })], [
        { details: { Count: "10" } }]),
      quiet("nine", [...of(9, "ss"), ...of(9, "ss")]),
      ...networked(of(10, "ss"), "9"),
      quiet("from two addresses, or from none", [...of(5, "ss"), ...of(5, "ss", { from: 5, ip: "192.0.2.1" }), ...of(10, "ss", { ip: "" })]),
      quiet("signed in", of(10, "s")),
      fires("the fuller window", [...of(10, "ss", { clock: "10:40" }), ...of(2, "ss", { from: 10 })], [{ details: { Count: "12" } }]),
      ...windowed(halves(10, (count, clock, from) => of(count, "ss", { clock, from })), 1),
    ],
  },
  "sign-ups-by-throwaway-mail": {
    cases: [
      fires("from many addresses", thrown(3).map((it, n) => ({ ...it, ip: `192.0.2.${n}` })), [
        { entities: ["IP 192.0.2.0", "CloudApplication Shop"] }]),
      fires("three", thrown(3), [{
        title: "Auth0 - 3 accounts with throwaway mail signed up to Shop",
        severity: "Low",
        entities: ["IP 198.51.100.7", "CloudApplication Shop"],
        details: { Count: "3", Domains: '["mailinator.com"]', Accounts: '["a0@mailinator.com","a1@mailinator.com","a2@mailinator.com"]' },
      }]),
      ...DOMAINS.map((domain) => fires(`of ${domain}`, thrown(3, domain.toUpperCase()), [{ details: { Domains: `["${domain}"]` } }])),
      fires("known by their mail", times(3, (n) => event("11:10", "ss", { user_name: "", details: { body: { email: `M${n}@YopMail.com` } } })), 1),
      fires("known by their mail beside a name", times(3, (n) => event("11:10", "ss", {
        ...user(`joe${n}`), details: { body: { email: `M${n}@yopmail.com` } } })), [{ details: { Domains: '["yopmail.com"]' } }]),
      quiet("two", [...thrown(2), ...thrown(2)]),
      quiet("of other domains", [...thrown(3, "example.com"), ...thrown(3, "mailinator.com.example.com"), ...thrown(3, "notmailinator.com")]),
      quiet("of two applications", [...thrown(2), ...times(2, (n) => thrown(1, "yopmail.com", { client_id: "forum", ...user(`x${n}@yopmail.com`) })[0])]),
      quiet("refused", thrown(3, "mailinator.com", { type: "fs" })),
      ...framed(thrown(3), 1),
      ...daily(thrown(3), 1),
    ],
  },
  "unverified-accounts": {
    cases: [
      fires("fifty", signedUp(50), [{
        title: "Auth0 - 50 accounts of Users were not verified within a day",
        severity: "Low",
        entities: ["CloudApplication acme"],
        details: { Count: "50", Addresses: "1", Accounts: JSON.stringify(times(20, (n) => `user${n}@example.com`)) },
      }]),
      fires("known by their mail", signedUp(50).map((it, n) => ({ ...it, user_name: "", details: { body: { email: `M${n}@example.com`, email_verified: false } } })), 1),
      fires("known by their mail, and one of no name is verified", [...signedUp(50).map((it, n) => ({
        ...it, user_name: "", details: { body: { email: `M${n}@example.com` } } })), ...verified({}, 20, { email: "joe@example.com" })], 1),
      quiet("forty-nine", signedUp(49)),
      quiet("one is verified", [...signedUp(50), ...verified(user("user7@example.com"), 1)]),
      quiet("one is verified, by its mail", [...signedUp(50), ...verified({}, 20, { email: "User7@Example.com" })]),
      quiet("one is verified, by the address in the link", [...signedUp(50), ...verified({}, 20, { query: { email: "User7@Example.com" } })]),
      quiet("one with a name is verified, by its mail", [...signedUp(49), ...signedUp(1).map((it) => ({
        ...it, user_name: "joe", details: { body: { email: "Joe@Example.com" } } })), ...verified({}, 20, { email: "joe@example.com" })]),
      quiet("one with a name is verified, by that", [...signedUp(49), ...signedUp(1).map((it) => ({
        ...it, user_name: "joe", details: { body: { email: "Joe@Example.com" } } })), ...verified(user("joe"), 20)]),
      fires("another one is verified", [...signedUp(50), ...verified({}, 20, { email: "joe@example.com" })], 1),
      quiet("one is verified before, just within two days", [...signedUp(50), ...verified(user("user7@example.com"), 47.9)]),
      fires("one was asked to", [...signedUp(50), ...verified(user("user7@example.com"), 1).map((it) => ({ ...it, type: "svr" }))], 1),
      quiet("verified at once", signedUp(50, 25, { details: { body: { email_verified: true } } })),
      fires("one was verified more than two days before", [...signedUp(50), ...verified(user("user7@example.com"), 48.1)], 1),
      quiet("forty-nine, and one without a name", [...signedUp(49), ...signedUp(1).map((it) => ({ ...it, user_name: "" }))]),
      fires("of a database that is named so", signedUp(50, 25, { strategy: "auth0", strategy_type: "database" }), 1),
      quiet("of connections that send no mail", ["social", "Enterprise", "passwordless"].flatMap((kind) =>
        signedUp(50, 25, { connection: kind, strategy_type: kind }))),
      quiet("signed in", signedUp(50, 25, { type: "s" })),
      quiet("of two tenants", [...signedUp(25), ...signedUp(25, 25, { tenant_name: "other" })]),
      ...unnamed(50, (count, from, fields) => signedUp(count, 25, { from, tenant_name: null, ...fields })),
      fires("of no tenant that is named, beside what is no sign-up", [...signedUp(50, 25, { tenant_name: null }), ...signedUp(1, 25, { type: "s" })], [
        { details: { Tenant: "" } }]),
      fires("one is verified in another tenant", [...signedUp(50), ...verified(user("user7@example.com"), 1).map((it) => ({ ...it, tenant_name: "other" }))], 1),
      fires("one is verified in another tenant, by its mail beside a name", [...signedUp(49), ...signedUp(1).map((it) => ({ ...it, user_name: "joe" })),
        ...verified(user("joe"), 1).map((it) => ({ ...it, tenant_name: "other" }))], 1),
      quiet("one is verified in the same tenant", [...signedUp(50), ...verified(user("user7@example.com"), 1).map((it) => ({ ...it, tenant_name: "acme" }))]),
      quiet("one of no tenant that is named is verified in one", [...signedUp(50, 25, { tenant_name: null, hostname: "acme.eu.auth0.com" }),
        ...verified(user("user7@example.com"), 1).map((it) => ({ ...it, tenant_name: "acme" }))]),
      fires("just a day ago", signedUp(50, 24.1), 1),
      quiet("not yet a day ago", signedUp(50, 23.9)),
      fires("not yet two days ago", signedUp(50, 47.9), 1),
      quiet("two days ago", signedUp(50, 48)),
      quiet("in three days", signedUp(50, 71)),
      ...daily(signedUp(50), 1, { minutes: 25 * 60 }),
    ],
  },
  "log-gap": {
    survivors: {
      "let lookback = 8d;   // The query period: a week and the hour. [8d -> 16d]": WEEK,
      "let lookback = 8d;   // The query period: a week and the hour. [8d -> 9d]": WEEK,
      "| where TimeGenerated > ago(lookback) [| where TimeGenerated > ago(lookback) -> nothing]": WEEK,
    },
    cases: [
      fires("an hour without a record", [...busy(), ...now], [{
        title: "Auth0 - No record of the hour from 2026-11-21T09:00:00Z",
        severity: "Medium",
        entities: ["CloudApplication acme"],
        details: { GapBegin: "2026-11-21T09:00:00Z", GapEnd: "2026-11-21T10:00:00Z", DayBefore: "30", WeekBefore: "30", Tenant: "acme" },
      }]),
      quiet("a record at its beginning", [...busy(), ...now, ...hours(0, "09:00", 1)]),
      quiet("a record at its end", [...busy(), ...now, ...hours(0, "09:59", 1)]),
      quiet("nothing after it", [...busy(), ...hours(0, "08:59", 1)]),
      quiet("not busy", [...busy(29), ...now]),
      quiet("not busy the day before", [...hours(1, "09:30", 29), ...hours(7, "09:30", 30), ...now]),
      quiet("not busy the week before", [...hours(1, "09:30", 30), ...hours(7, "09:30", 29), ...now]),
      quiet("busy in other hours of the day before", [...hours(1, "08:59", 30), ...hours(1, "10:00", 30), ...hours(2, "09:30", 30),
        ...hours(7, "09:30", 30), ...now]),
      quiet("busy in other hours of the week before", [...hours(7, "08:59", 30), ...hours(7, "10:00", 30), ...hours(6, "09:30", 30),
        ...hours(1, "09:30", 30), ...now]),
      set("late", "150m", fires("in the midst of an hour", [...busy(), ...now], [{ details: { GapBegin: "2026-11-21T09:00:00Z" } }])),
      fires("its ends", [...hours(1, "09:59", 30), ...hours(7, "09:00", 30), ...now], [{ details: { DayBefore: "30", WeekBefore: "30" } }]),
      fires("what arrived in it is of days before", [...busy(), ...now, ...arriving(150, earlier(72, now))], 1),
      quiet("of two tenants", [...busy(), ...now.map((it) => ({ ...it, tenant_name: "other" }))]),
    ],
  },
};
