//! The tables of the stream: those of advanced hunting, as Microsoft's pages on its schema name
//! them.

pub(super) const ALERT_INFO: &str = "AlertInfo";
pub(super) const ALERT_EVIDENCE: &str = "AlertEvidence";

const OTHERS: [&str; 29] = [
    "AADSignInEventsBeta",
    "AADSpnSignInEventsBeta",
    "BehaviorEntities",
    "BehaviorInfo",
    "CampaignInfo",
    "CloudAppEvents",
    "CloudAuditEvents",
    "CloudProcessEvents",
    "CloudStorageAggregatedEvents",
    "DeviceEvents",
    "DeviceFileCertificateInfo",
    "DeviceFileEvents",
    "DeviceImageLoadEvents",
    "DeviceInfo",
    "DeviceLogonEvents",
    "DeviceNetworkEvents",
    "DeviceNetworkInfo",
    "DeviceProcessEvents",
    "DeviceRegistryEvents",
    "EmailAttachmentInfo",
    "EmailEvents",
    "EmailPostDeliveryEvents",
    "EmailUrlInfo",
    "IdentityDirectoryEvents",
    "IdentityInfo",
    "IdentityLogonEvents",
    "IdentityQueryEvents",
    "OAuthAppInfo",
    "UrlClickEvents",
];

/// By a record's category: the table's name, with or without what stands before it. `None` where
/// the record does not say.
pub(super) fn table(category: Option<&str>) -> Option<&'static str> {
    let category = category?;
    let name = category.strip_prefix("AdvancedHunting-").unwrap_or(category);
    let known = [ALERT_INFO, ALERT_EVIDENCE].into_iter().chain(OTHERS).find(|one| *one == name);
    Some(known.unwrap_or("other"))
}
