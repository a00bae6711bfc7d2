// What administrators and programs change by the Management API.

import { byProgram, call, changed, fires, managed, quiet, times } from "../records.mjs";

const MANAGEMENT = "https://acme.eu.auth0.com/api/v2/";

const grant = call("11:40", "post", "/api/v2/client-grants", {
  client_id: "new", audience: MANAGEMENT, scope: ["read:users", "delete:users"],
});
const widened = (scope) => call("11:41", "patch", "/api/v2/client-grants/cgr_1", { scope: [scope] });
const invited = call("11:40", "post", "/api/v2/tenants/invitations", { owners: ["marge@example.com"], roles: ["owner"] });

const RESOURCES = ["users", "clients", "client_grants", "connections", "tenant_settings", "logs", "actions", "roles", "rules", "hooks",
  "guardian_factors", "attack_protection", "log_streams", "user_tickets", "client_keys", "resource_servers", "organizations",
  "custom_domains", "signing_keys", "authentication_methods", "client_credentials", "connection_profiles", "device_credentials",
  "directory_provisionings", "email_provider", "email_templates", "encryption_keys", "event_streams", "guardian_enrollment_tickets",
  "guardian_enrollments", "mfa_policies", "network_acls", "organization_invitations", "organization_members", "phone_providers",
  "rate_limit_policies", "refresh_tokens", "role_members", "scim_config", "scim_token", "self_service_profiles", "sso_access_tickets",
  "token_exchange_profiles", "anomaly_blocks", "client_token_vault_privileged_access", "phone_templates"];

export default {
  "management-api-grant": {
    cases: [
      fires("granted", [grant], [{
        title: "Auth0 - new may use the Management API",
        severity: "High",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "CloudApplication new"],
        details: { GrantedClient: "new", Scopes: '["read:users","delete:users"]' },
      }]),
      fires("to read", [call("11:40", "POST", "/api/v2/client-grants/", { client_id: "new", audience: MANAGEMENT.toUpperCase(),
        scope: ["read:users"] })], ["Medium: Auth0 - new may use the Management API"]),
      fires("each scope that writes", ["create:x", "Update:x", "delete:x"].map((scope) =>
        call("11:40", "post", "/api/v2/client-grants", { client_id: "new", audience: MANAGEMENT, scope: [scope] })),
      ["High", "High", "High"].map((severity) => ({ severity }))),
      fires("secrets to read", ["read:client_keys", "read:user_idp_tokens"].map((scope) => widened(scope)), [
        { severity: "High" }, { severity: "High" }]),
      ...RESOURCES.map((name) => fires(`widened by ${name}`, [widened(`read:${name}`)], 1)),
      fires("widened, as the answer tells", [call("11:41", "PATCH", "/api/v2/client-grants/cgr_1", null, {
        client_id: "old", audience: MANAGEMENT, scope: ["read:things"] })], [
        { title: "Auth0 - old may use the Management API", details: { Scopes: '["read:things"]' } }]),
      fires("the request counts, and not the answer", [call("11:41", "patch", "/api/v2/client-grants/cgr_1", { scope: ["read:logs"] }, {
        client_id: "old", audience: MANAGEMENT, scope: ["update:logs"] })], [{ severity: "Medium", details: { Scopes: '["read:logs"]' } }]),
      fires("all scopes", [call("11:40", "post", "/api/v2/client-grants", { client_id: "new", audience: MANAGEMENT, allow_all_scopes: true })], [
        { severity: "High", details: { GrantedClient: "new", Scopes: "all" } }]),
      fires("widened to all scopes, with an answer or without", [
        call("11:41", "patch", "/api/v2/client-grants/cgr_1", { allow_all_scopes: true }, { client_id: "old", audience: MANAGEMENT, scope: [] }),
        call("11:42", "patch", "/api/v2/client-grants/cgr_2", { scope: [], allow_all_scopes: true }),
        call("11:43", "patch", "/api/v2/client-grants/cgr_3", null, { client_id: "old", audience: MANAGEMENT, allow_all_scopes: true }),
      ], times(3, () => ({ severity: "High", details: { Scopes: "all" } }))),
      fires("no more all", [call("11:41", "patch", "/api/v2/client-grants/cgr_1", { scope: ["read:logs"], allow_all_scopes: false }, {
        client_id: "old", audience: MANAGEMENT, scope: ["read:logs"], allow_all_scopes: true })], [{ severity: "Medium", details: { Scopes: '["read:logs"]' } }]),
      quiet("all scopes of another API", [call("11:40", "post", "/api/v2/client-grants", {
        client_id: "new", audience: "https://orders.example.com/", allow_all_scopes: true })]),
      quiet("another API", [
        call("11:40", "post", "/api/v2/client-grants", { client_id: "new", audience: "https://orders.example.com/", scope: ["read:orders"] }),
        call("11:41", "patch", "/api/v2/client-grants/cgr_1", { scope: ["read:orders", "read:all"] }),
        call("11:42", "post", "/api/v2/client-grants", { client_id: "new", audience: "https://orders.example.com/", scope: ["read:users"] }),
      ]),
      quiet("taken away, or something else", [call("11:41", "delete", "/api/v2/client-grants/cgr_1", null, { audience: MANAGEMENT }),
        call("11:42", "post", "/api/v2/clients", { name: "new", audience: MANAGEMENT })]),
      fires("by a program", [byProgram(grant)], [{ entities: ["Account robot", "IP 192.0.2.44", "CloudApplication new"] }]),
      ...["/api/v2/rules-configs/x", "/api/v2/hooks/1/secrets"].map((hidden) => fires(`by one that calls itself ${hidden}`, [
        changed(grant, (copy) => {
          copy.user_agent = hidden;
          Object.assign(copy.details.request, { userAgent: hidden, correlation_id: hidden });
        })], ["High: Auth0 - new may use the Management API"])),
      ...managed(grant, 1),
    ],
  },
  "tenant-administrator-added": {
    cases: [
      fires("invited", [invited], [{
        title: "Auth0 - marge@example.com invited as an administrator",
        severity: "Medium",
        entities: ["Account admin@example.com", "IP 203.0.113.9", "Account marge@example.com"],
        details: { Change: "invited", Roles: '["owner"]', Administrators: '["marge@example.com"]' },
      }]),
      fires("accepted, and each way to name whom", [
        call("11:45", "PATCH", "/api/v2/tenants/invitations/inv_1", { state: "Accepted", user: { email: "lisa@example.com" } }),
        call("11:46", "POST", "/api/v2/tenant/invitations", { email: "joe@example.com" }),
        call("11:47", "post", "/api/v2/tenants/invitations"),
        call("11:48", "put", "/api/v2/tenants/members/mem_1/roles"),
        call("11:48", "POST", "/api/v2/tenants/members", { user: { email: "bob@example.com" } }),
        call("11:49", "patch", "/api/v2/tenants/members/mem_1"),
      ], [
        "Medium: Auth0 - lisa@example.com accepted as an administrator",
        "Medium: Auth0 - joe@example.com invited as an administrator",
        "Medium: Auth0 - somebody invited as an administrator",
        "Medium: Auth0 - somebody given a role as an administrator",
        "Medium: Auth0 - bob@example.com given a role as an administrator",
        "Medium: Auth0 - somebody given a role as an administrator",
      ]),
      fires("two at once", [call("11:40", "post", "/api/v2/tenants/invitations", { owners: ["lisa@example.com", "bart@example.com"] })], [
        { title: "Auth0 - lisa@example.com invited as an administrator", details: { Administrators: '["lisa@example.com","bart@example.com"]' } }]),
      quiet("declined, removed, or no member of the tenant", [
        call("11:45", "patch", "/api/v2/tenants/invitations/inv_1", { state: "declined" }),
        call("11:45", "delete", "/api/v2/tenants/invitations/inv_1", { state: "accepted" }),
        call("11:45", "delete", "/api/v2/tenants/members/mem_1"),
        call("11:46", "post", "/api/v2/organizations/org_1/invitations", { invitee: { email: "x@example.com" } }),
        call("11:46", "post", "/api/v2/organizations/org_1/members", {}),
        call("11:47", "patch", "/api/v2/tenants/settings", { friendly_name: "x" }),
      ]),
      fires("by a program", [byProgram(invited)], [{ entities: ["Account robot", "IP 192.0.2.44", "Account marge@example.com"] }]),
      ...managed(invited, 1),
    ],
  },
};
