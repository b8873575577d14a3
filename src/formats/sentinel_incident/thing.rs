//! An entity of an incident, of whatever kind.

use serde::Deserialize;

use crate::domain::candidate::{Field, Fields, Incomplete};
use crate::domain::ids::MachineId;
use crate::formats::lenient::{MaybeObject, OneOrMany, Text, Texts};
use crate::formats::read::{self, set_known, set_listed};
use crate::formats::spelling;

/// As `properties` of one of `relatedEntities[]` or nested in another, with the keys of those kinds
/// that are read. Nested ones have the names of an alert's own `Entities`, which begin in upper
/// case.
#[derive(Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Thing<'a> {
    #[serde(rename = "$id")]
    pub mark: Text<'a>,
    #[serde(rename = "$ref")]
    pub refers: Text<'a>,
    #[serde(alias = "AdditionalData")]
    additional_data: MaybeObject<Additional<'a>>,
    #[serde(alias = "MdatpDeviceId")]
    mdatp_device_id: Text<'a>,
    #[serde(alias = "HostName")]
    host_name: Text<'a>,
    #[serde(alias = "DnsDomain")]
    dns_domain: Text<'a>,
    #[serde(alias = "FileName")]
    file_name: Text<'a>,
    #[serde(alias = "Name")]
    name: Text<'a>,
    #[serde(alias = "Directory")]
    directory: Text<'a>,
    #[serde(alias = "Algorithm")]
    algorithm: Text<'a>,
    #[serde(alias = "HashValue")]
    hash_value: Text<'a>,
    #[serde(alias = "Value")]
    value: Text<'a>,
    #[serde(alias = "FileHashes")]
    pub file_hashes: OneOrMany<Thing<'a>>,
    pub file_hash_entity_ids: Texts<'a>,
    #[serde(alias = "Host")]
    pub host: Nested<'a>,
    pub host_entity_id: Text<'a>,
    #[serde(alias = "ImageFile")]
    pub image_file: Nested<'a>,
    pub image_file_entity_id: Text<'a>,
    #[serde(alias = "ParentProcess")]
    pub parent_process: Nested<'a>,
    pub parent_process_entity_id: Text<'a>,
}

pub(super) type Nested<'a> = MaybeObject<Box<Thing<'a>>>;

/// What Defender adds to hosts, files and processes.
#[derive(Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Additional<'a> {
    mdatp_device_id: Text<'a>,
    device_dns_name: Text<'a>,
    rbac_group_name: Text<'a>,
    risk_score: Text<'a>,
    health_status: Text<'a>,
    onboarding_status: Text<'a>,
    defender_av_status: Text<'a>,
    detection_status: Text<'a>,
}

/// The longest name of DNS.
const NAME_BYTES: usize = 253;

impl<'a> Thing<'a> {
    fn additional(&self) -> Option<&Additional<'a>> {
        self.additional_data.0.as_ref()
    }

    pub fn is_reference(&self) -> bool {
        self.refers.clone().known().is_some()
    }

    /// The machines that it names itself, or why what it names is none.
    pub fn machines(&self) -> impl Iterator<Item = Result<MachineId, Incomplete>> {
        let added = self.additional().map(|added| &added.mdatp_device_id);
        let named = |text: &&Text<'a>| **text == Text::Other || (*text).clone().known().is_some();
        let ids = [Some(&self.mdatp_device_id), added].into_iter().flatten().filter(named);
        ids.map(|text| read::machine("MdatpDeviceId", text))
    }

    /// A host's name, as long as it is given.
    pub fn host_name(&self) -> Option<String> {
        let added = self.additional().and_then(|added| added.device_dns_name.clone().known());
        if let Some(name) = added {
            return Some(name.into_owned());
        }
        let name = self.host_name.clone().known()?;
        match self.dns_domain.clone().known() {
            Some(domain) if !name.contains('.') => Some(format!("{name}.{domain}")),
            _ => Some(name.into_owned()),
        }
    }

    /// The same, if it is one that no other host of the tenant should have.
    pub fn full_name(&self) -> Option<String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        self.host_name()
            .filter(|name| name.len() <= NAME_BYTES && name.contains('.') && name.bytes().all(fits))
    }

    pub fn is_hash_of(&self, algorithm: &str) -> bool {
        let own = self.algorithm.clone().known();
        own.is_some_and(|own| spelling::alike(&own, algorithm))
    }

    pub fn hash(&self) -> Text<'a> {
        or(&self.hash_value, &self.value)
    }

    pub fn file_name(&self) -> Text<'a> {
        or(&self.file_name, &self.name)
    }

    /// What a file says of itself.
    pub fn tell_file(&self, fields: &mut Fields<'a>) {
        set_known(fields, Field::FileName, self.file_name());
        set_known(fields, Field::FilePath, self.directory.clone());
        if let Some(added) = self.additional() {
            set_listed(fields, Field::FileDetectionStatus, added.detection_status.clone());
        }
    }

    /// What a host says of itself, without its id.
    pub fn tell_host(&self, fields: &mut Fields<'a>) {
        if let Some(name) = self.host_name() {
            set_known(fields, Field::MachineName, Text::Is(name.into()));
        }
        let Some(added) = self.additional() else { return };
        set_known(fields, Field::MachineGroup, added.rbac_group_name.clone());
        set_listed(fields, Field::MachineHealth, added.health_status.clone());
        set_listed(fields, Field::MachineOnboarding, added.onboarding_status.clone());
        set_listed(fields, Field::MachineRisk, added.risk_score.clone());
        set_listed(fields, Field::MachineAvStatus, added.defender_av_status.clone());
    }
}

fn or<'a>(one: &Text<'a>, other: &Text<'a>) -> Text<'a> {
    if one.clone().known().is_some() { one.clone() } else { other.clone() }
}
