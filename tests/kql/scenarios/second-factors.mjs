// Second factors: weakened for the tenant, reset for a user, guessed, or asked for until the user gives in.

import { arriving, byProgram, call, earlier, event, fires, framed, managed, quiet, refused, set, times, user, windowed } from "../records.mjs";

const pushed = (minutes, type, name = "ann@example.com") => minutes.map((minute) => event(minute, type, user(name)));
const REJECTED = "gd_auth_rejected";

const noPolicy = call("11:40", "put", "/api/v2/guardian/policies", []);
const reset = call("11:40", "delete", "/api/v2/users/auth0%7C7Ab/authenticators");
const policies = (clock, names) => call(clock, "put", "/api/v2/guardian/policies", names);
const adaptive = policies("11:40", ["confidence-score"]);
const ADAPTIVE = "only a login of low confidence asks for a second factor";
const weakened = (what) => [`High: Auth0 - ${what}, by admin@example.com`];

export default {
  "mfa-reset-for-user": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [reset])),
      fires("authenticators removed", [reset], [{
        title: "Auth0 - admin@example.com reset the second factor of auth0|7Ab",
        severity: "Medium",
        entities: ["Account admin@example.com", "Account auth0|7Ab", "IP 203.0.113.9"],
        details: { Calls: "1" },
      }]),
      fires("each way to remove one", [
        call("11:41", "DELETE", "/api/v2/guardian/enrollments/dev_0Ab"),
        call("11:42", "delete", "/api/v2/Users//auth0%7c8/multifactor/google-authenticator/"),
        call("11:43", "delete", "/api/v2/users/auth0|9/authentication-methods/totp%7Cdev_1"),
      ], [
        "Medium: Auth0 - admin@example.com reset the second factor of an enrolled device",
        "Medium: Auth0 - admin@example.com reset the second factor of auth0|8",
        "Medium: Auth0 - admin@example.com reset the second factor of auth0|9",
      ]),
      fires("all replaced, or the recovery code", [
        call("11:41", "PUT", "/api/v2/users/auth0%7C8/authentication-methods", []),
        call("11:42", "POST", "/api/v2/users/auth0%7C9/recovery-code-regeneration"),
      ], 2),
      fires("twice of one user", [reset, call("11:45", "delete", "/api/v2/users/auth0%7C7Ab/multifactor/duo")], [
        { details: { Calls: "2" } }]),
      quiet("another change, a look, another name", [
        call("11:40", "patch", "/api/v2/users/auth0%7C7", { blocked: true }),
        call("11:41", "get", "/api/v2/users/auth0%7C7/authenticators"),
        call("11:42", "patch", "/api/v2/users/auth0%7C7/authentication-methods/totp%7Cdev_1", { name: "new" }),
        // All else that the API takes of a factor by its id. Its number is changed by replacing them all.
        call("11:42", "patch", "/api/v2/users/auth0%7C7/authentication-methods/phone%7Cdev_1", { preferred_authentication_method: "voice" }),
        call("11:43", "post", "/api/v2/users/auth0%7C7/authentication-methods", {}),
        call("11:44", "put", "/api/v2/users/auth0%7C7/authentication-methods/totp%7Cdev_1", {}),
        call("11:45", "delete", "/api/v2/users/auth0%7C7"),
        call("11:46", "post", "/api/v2/users/auth0%7C7/multifactor/actions/invalidate-remember-browser"),
        call("11:47", "put", "/api/v2/users/auth0%7C7/recovery-code-regeneration"),
      ]),
      fires("by a program", [byProgram(reset)], [
        { entities: ["Account robot", "Account auth0|7Ab", "IP 192.0.2.44"] }]),
      ...managed(reset, 1),
    ],
  },
  "mfa-weakened-for-tenant": {
    cases: [
      fires("no policy", [noPolicy], [{
        title: "Auth0 - no policy asks for a second factor, by admin@example.com",
        severity: "High",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Change: "no policy asks for a second factor", Tenant: "" },
      }]),
      fires("a factor", [call("11:41", "PUT", "/v2/guardian/factors/push-notification", { enabled: false })],
        weakened("factor push-notification is off")),
      fires("risk assessment", [call("11:43", "PATCH", "/api/v2/risk-assessments/settings", { enabled: false })],
        weakened("risk assessment is off")),
      fires("its name of old", [call("11:44", "patch", "/api/v2/risk-assessment/config", { AfterAuthentication: false })],
        weakened("risk assessment is off")),
      fires("no Action", [call("11:42", "patch", "/api/v2/actions/triggers/post-login/bindings", { bindings: [] })],
        weakened("no Action runs after a login")),
      fires("in capitals", [call("11:40", "PUT", "/api/v2/Guardian/Policies/", [])], 1),
      fires("only on low confidence, and before for all", [...earlier(5, [policies("11:30", ["all-applications"])]), adaptive], weakened(ADAPTIVE)),
      fires("only on low confidence, and nobody knows what before", [adaptive], [{ title: `Auth0 - ${ADAPTIVE}, by admin@example.com`, severity: "Medium" }]),
      quiet("only on low confidence, as before", [...earlier(6, [policies("11:30", ["all-applications"])]), ...earlier(5, [adaptive]), adaptive]),
      quiet("on low confidence, and before for nobody", [...earlier(5, [noPolicy]), adaptive]),
      fires("only on low confidence, at one time with what is for all", [policies("11:40", ["all-applications"]), adaptive], [{ severity: "Medium" }]),
      fires("only on low confidence, and afterwards for all", [policies("11:41", ["all-applications"]), adaptive], [{ severity: "Medium" }]),
      fires("only on low confidence, and for all in another tenant", [...earlier(5, [{ ...policies("11:30", ["all-applications"]), tenant_name: "globex" }]),
        { ...adaptive, tenant_name: "acme" }], [{ severity: "Medium", details: { Tenant: "acme" } }]),
      fires("only on low confidence, after what was refused, looked at, or is of another thing", [
        ...earlier(5, [refused(adaptive), { ...adaptive, type: "mgmt_api_read" }, call("11:40", "put", "/api/v2/guardian/policies/x", []),
          call("11:40", "get", "/api/v2/guardian/policies", [])]), adaptive], [{ severity: "Medium" }]),
      fires("only on low confidence, and for all just within two weeks", [...earlier(335.4, [policies("11:30", ["all-applications"])]), adaptive], [{ severity: "High" }]),
      fires("only on low confidence, and for all beyond two weeks", [...earlier(335.8, [policies("11:30", ["all-applications"])]), adaptive], [{ severity: "Medium" }]),
      quiet("on low confidence, and for all", [policies("11:40", ["confidence-score", "all-applications"])]),
      quiet("the other way round", [
        call("11:40", "put", "/api/v2/guardian/policies", ["all-applications"]),
        call("11:41", "put", "/api/v2/guardian/factors/otp", { enabled: true }),
        call("11:43", "patch", "/api/v2/actions/triggers/post-login/bindings", { bindings: [{ ref: 1 }] }),
        call("11:44", "patch", "/api/v2/risk-assessments/settings", { enabled: true }),
        call("11:45", "patch", "/api/v2/risk-assessment/config", { AfterAuthentication: true }),
      ]),
      quiet("something else", [
        call("11:40", "patch", "/api/v2/guardian/policies", []),
        call("11:41", "put", "/api/v2/guardian/factors", []),
        call("11:41", "patch", "/api/v2/guardian/factors/otp", { enabled: false }),
        call("11:41", "put", "/api/v2/guardian/factors/sms/templates", { enabled: false }),
        call("11:42", "put", "/api/v2/risk-assessments/settings", { enabled: false }),
        call("11:43", "patch", "/api/v2/risk-assessments/settings/new-device", { enabled: false }),
        call("11:44", "patch", "/api/v2/actions/triggers/pre-user-registration/bindings", { bindings: [] }),
        call("11:45", "put", "/api/v2/users", []),
      ]),
      fires("by a program", [byProgram(noPolicy)], [
        { entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(noPolicy, 1),
    ],
  },
  "push-fatigue": {
    cases: [
      quiet("seen by the run before, and then another record of the user", [
        ...arriving(66, earlier(22, pushed(["11:10", "11:11", "11:12"], REJECTED))), ...arriving(1, earlier(22, pushed(["11:13"], "s")))]),
      fires("from two addresses", pushed(["11:10", "11:11", "11:12"], REJECTED).map((it, n) => ({ ...it, ip: `192.0.2.${n}` })), [
        { entities: ["Account ann@example.com", "IP 192.0.2.0"] }]),
      fires("three rejected", pushed(["11:10", "11:11", "11:12"], REJECTED), [{
        title: "Auth0 - ann@example.com got 0 push notifications and rejected 3",
        severity: "Medium",
        entities: ["Account ann@example.com", "IP 198.51.100.7"],
        details: { Sent: "0", Rejected: "3", GaveIn: "false" },
      }]),
      fires("eight sent", pushed(times(8, (n) => `11:2${n}`), "gd_send_pn"), [
        "Medium: Auth0 - ann@example.com got 8 push notifications and rejected 0"]),
      fires("before and after the full hour", pushed(["10:57", "10:59", "11:01"], REJECTED), 1),
      fires("half an hour from the first to the last", pushed(["11:31", "11:45", "11:59"], REJECTED), 1),
      fires("one of three has the name", [
        event("11:31", REJECTED, { ...user("zoe@example.com"), user_name: null }),
        event("11:32", REJECTED, user("zoe@example.com")),
        event("11:33", REJECTED, { ...user("zoe@example.com"), user_name: "" }),
      ], ["Medium: Auth0 - zoe@example.com got 0 push notifications and rejected 3"]),
      fires("without a name", pushed(["11:31", "11:32", "11:33"], REJECTED).map((it) => ({ ...it, user_name: "" })), [
        "Medium: Auth0 - auth0|ann@example.com got 0 push notifications and rejected 3"]),
      fires("and gave in", [...pushed(["11:10", "11:11", "11:12"], REJECTED), ...pushed(["11:13"], "gd_auth_succeed")], [
        { severity: "High", details: { GaveIn: "true" } }]),
      fires("the window in which the user gave in counts, not the fuller one", [
        ...pushed(["11:26", "11:27", "11:28"], REJECTED), ...pushed(["11:40"], "gd_auth_succeed"),
        ...pushed(["10:50", "10:51", "10:52"], "gd_send_pn"),
      ], ["High: Auth0 - ann@example.com got 0 push notifications and rejected 3"]),
      fires("accepted first, then rejected", [...pushed(["11:10"], "gd_auth_succeed"), ...pushed(["11:11", "11:12", "11:13"], REJECTED)],
        [{ severity: "Medium" }]),
      fires("accepted without a rejection", [...pushed(times(8, (n) => `11:2${n}`), "gd_send_pn"), ...pushed(["11:29"], "gd_auth_succeed")],
        [{ severity: "Medium", details: { GaveIn: "false" } }]),
      fires("the fuller of two windows", [...pushed(["11:01", "11:02", "11:31", "11:32"], REJECTED)], [
        "Medium: Auth0 - ann@example.com got 0 push notifications and rejected 4"]),
      quiet("two rejected, seven sent", [...pushed(["11:10", "11:11"], REJECTED), ...pushed(times(7, (n) => `11:2${n}`), "gd_send_pn")]),
      quiet("not within an hour", pushed(["10:20", "11:05", "11:50"], REJECTED)),
      quiet("of two users", [...pushed(["11:10", "11:11"], REJECTED), ...pushed(["11:12"], REJECTED, "joe@example.com")]),
      quiet("of nobody", times(3, (n) => event(`11:1${n}`, REJECTED, { user_id: "", user_name: null }))),
      quiet("wrong codes", pushed(["11:10", "11:11", "11:12"], "gd_auth_failed")),
      fires("without an id", times(3, (n) => event(`11:1${n}`, REJECTED, { user_id: "" })), 1),
      fires("the last of them comes late", [
        ...framed(pushed(["11:10", "11:11"], REJECTED), 0)[1].records, ...pushed(["11:12"], REJECTED).map((record) =>
          ({ record: { ...record, date: "2026-11-20T13:12:00.000Z" }, arrival: "2026-11-21T11:50:00.000Z" }))], 1),
      fires("at more addresses than an alert shows", times(21, (n) => event(`11:1${n % 10}`, REJECTED, { ip: `192.0.2.${n}` })), [
        { details: { Rejected: "21", Addresses: JSON.stringify(times(20, (n) => `192.0.2.${n}`)) } }]),
      ...windowed((first, second) => pushed([first, first, second], REJECTED), 1),
    ],
  },
};
