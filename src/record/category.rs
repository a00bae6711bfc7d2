//! The types of log events in Auth0's catalogue, and the category of each.
//!
//! The catalogue is Auth0's list of log event types as of November 2026. Log streams filter by
//! these categories; that a stream sorts types as the catalogue does is inferred.

/// The twenty categories, and the types that the catalogue lists under each. It lists none under
/// `management.fail` today.
const CATALOGUE: [(&str, &str); 20] = [
    ("auth.login.fail", "f fcoa fens fp fu"),
    ("auth.login.notification", "scv w"),
    ("auth.login.success", "s scoa sdel sens"),
    (
        "auth.logout.fail",
        "federated_logout_failed flo oidc_backchannel_logout_failed universal_logout_failed",
    ),
    (
        "auth.logout.success",
        "oidc_backchannel_logout_succeeded slo universal_logout_succeeded",
    ),
    ("auth.signup.fail", "fs"),
    ("auth.signup.success", "ss"),
    ("auth.silent_auth.fail", "fdelsa fsa"),
    ("auth.silent_auth.success", "sdelsa ssa"),
    (
        "auth.token_exchange.fail",
        "ciba_exchange_failed failed_on_behalf_of_token_exchange fdeleacft feacft feccft \
         fecte fede feoobft feotpft fepft fepotpft fercft ferrt fertft idjag_exchange_failed \
         jwt_bearer_exchange_failed",
    ),
    (
        "auth.token_exchange.success",
        "ciba_exchange_succeeded feta idjag_exchange_succeeded sdeleacft seacft seccft secte \
         sede seoobft seotpft sepft sepkoobft sepkotpft sepkrcft sercft sertft seta \
         success_on_behalf_of_token_exchange",
    ),
    ("management.fail", ""),
    ("management.success", "mgmt_api_read sapi"),
    ("scim.event", "fscim sscim"),
    (
        "system.notification",
        "acul_sdk_notice api_limit api_limit_warning appi custom_domain_verification_failed \
         depnote directory_sync_completed directory_sync_failed directory_sync_started fcpro \
         fui limit_delegation limit_mu limit_phone limit_wc",
    ),
    (
        "user.fail",
        "connected_accounts_connection_failed connected_accounts_delete_failed fce fcp fcph \
         fcpn fcpr fcu fd fdeaz fdecc fdu fn fv fvr my_account_authentication_method_failed \
         ss_sso_failure",
    ),
    (
        "user.notification",
        "cs gd_enrollment_complete gd_start_enroll gd_unenroll gd_update_device_account \
         ss_sso_info ublkdu",
    ),
    (
        "user.success",
        "connected_accounts_connection_succeeded connected_accounts_delete_succeeded \
         my_account_authentication_method_succeeded sce scp scpn scpr scu sd sdu srrt \
         ss_sso_success sui sv svr",
    ),
    ("actions", "actions_execution_failed"),
    (
        "other",
        "acls_summary ciba_start_failed ciba_start_succeeded cls fco fdeac fi \
         flows_execution_completed flows_execution_failed forms_submission_failed \
         forms_submission_succeeded fpar fpurh gd_auth_email_verification gd_auth_failed \
         gd_auth_rejected gd_auth_succeed gd_otp_rate_limit_exceed gd_recovery_failed \
         gd_recovery_succeed gd_send_email gd_send_email_verification gd_send_pn \
         gd_send_pn_failure gd_send_sms gd_send_sms_failure gd_send_voice \
         gd_send_voice_failure gd_start_auth gd_start_enroll_failed gd_tenant_update \
         gd_webauthn_challenge_failed gd_webauthn_enrollment_failed \
         kms_key_management_failure kms_key_management_success kms_key_state_changed \
         limit_sul mfar organization_member_added passkey_challenge_failed \
         passkey_challenge_started pla pwd_leak reset_pwd_leak resource_cleanup \
         rich_consents_access_error si signup_pwd_leak wn wum",
    ),
];
/// Types that existed once and have no category.
const UNFILED: &str = "admin_update_launch coff con fc gd_auth_fail_email_verification \
     gd_recovery_rate_limit_exceed gd_send_email_verification_failure sys_os_update_end \
     sys_os_update_start sys_update_end sys_update_start too_many_records";

/// The names of all categories.
pub(crate) fn categories() -> impl Iterator<Item = &'static str> {
    CATALOGUE.iter().map(|(name, _)| *name)
}

/// The codes of all types that are known.
pub(crate) fn types() -> impl Iterator<Item = &'static str> {
    let filed = CATALOGUE.iter().map(|(_, types)| *types);
    filed.chain([UNFILED]).flat_map(str::split_ascii_whitespace)
}

/// The category of a type, if it has one.
pub(crate) fn category(code: &str) -> Option<&'static str> {
    let has = |types: &str| types.split_ascii_whitespace().any(|it| it == code);
    let found = CATALOGUE.iter().find(|(_, types)| has(types));
    found.map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_type_is_filed_once() {
        assert_eq!(types().count(), 179);
        assert_eq!(types().collect::<BTreeSet<_>>().len(), 179);
        assert_eq!(categories().collect::<BTreeSet<_>>().len(), 20);
    }

    #[test]
    fn types_are_in_the_categories_of_the_catalogue() {
        for (code, name) in [
            ("fp", Some("auth.login.fail")),
            ("s", Some("auth.login.success")),
            ("feccft", Some("auth.token_exchange.fail")),
            ("fsa", Some("auth.silent_auth.fail")),
            ("sapi", Some("management.success")),
            ("pwd_leak", Some("other")),
            ("limit_mu", Some("system.notification")),
            ("ublkdu", Some("user.notification")),
            ("con", None),
            ("", None),
            ("FP", None),
            ("fp s", None),
        ] {
            assert_eq!(category(code), name, "{code}");
        }
    }
}
