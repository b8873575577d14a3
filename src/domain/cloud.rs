//! Where each Microsoft cloud has its hosts. Sources: Microsoft's pages "Microsoft Defender for
//! Endpoint for US Government customers" and "Supported Microsoft Defender for Endpoint APIs".

use serde::{Deserialize, Serialize};

/// The cloud a tenant lives in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cloud {
    #[default]
    Commercial,
    Gcc,
    GccHigh,
    Dod,
}

/// A regional host of the commercial cloud, nearer to the tenant's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    Us,
    Eu,
    Uk,
    Au,
    Swa,
    Ina,
}

/// Base URLs without a path, and the scope that a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    pub api: String,
    pub login: String,
    pub scope: String,
}

/// Only the commercial cloud has regional hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only the commercial cloud has regional hosts: leave `region` out")]
pub struct NoRegions;

impl Cloud {
    /// The hosts of this cloud. The token's audience stays the classic one whatever the API host:
    /// with another, calls to regional hosts are answered 403 (observed).
    pub fn hosts(self, region: Option<Region>) -> Result<Hosts, NoRegions> {
        let (host, login) = match self {
            Cloud::Commercial => ("api.securitycenter.microsoft.com", "login.microsoftonline.com"),
            Cloud::Gcc => ("api-gcc.securitycenter.microsoft.us", "login.microsoftonline.com"),
            Cloud::GccHigh | Cloud::Dod => {
                ("api-gov.securitycenter.microsoft.us", "login.microsoftonline.us")
            }
        };
        let api = match region {
            None => format!("https://{host}"),
            Some(region) if self == Cloud::Commercial => {
                format!("https://{}.api.security.microsoft.com", region.as_str())
            }
            Some(_) => return Err(NoRegions),
        };
        let login = format!("https://{login}");
        Ok(Hosts { api, login, scope: format!("https://{host}/.default") })
    }
}

impl Region {
    pub fn as_str(self) -> &'static str {
        match self {
            Region::Us => "us",
            Region::Eu => "eu",
            Region::Uk => "uk",
            Region::Au => "au",
            Region::Swa => "swa",
            Region::Ina => "ina",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGIONS: [Region; 6] =
        [Region::Us, Region::Eu, Region::Uk, Region::Au, Region::Swa, Region::Ina];

    /// Every cloud with every region, as the documentation has it: hosts of API and login, and the
    /// audience of the token.
    const TABLE: &[(Cloud, Option<Region>, [&str; 3])] = &[
        (Cloud::Commercial, None, ["api.securitycenter.microsoft.com", COM, CLASSIC]),
        (Cloud::Commercial, Some(Region::Us), ["us.api.security.microsoft.com", COM, CLASSIC]),
        (Cloud::Commercial, Some(Region::Eu), ["eu.api.security.microsoft.com", COM, CLASSIC]),
        (Cloud::Commercial, Some(Region::Uk), ["uk.api.security.microsoft.com", COM, CLASSIC]),
        (Cloud::Commercial, Some(Region::Au), ["au.api.security.microsoft.com", COM, CLASSIC]),
        (Cloud::Commercial, Some(Region::Swa), ["swa.api.security.microsoft.com", COM, CLASSIC]),
        (Cloud::Commercial, Some(Region::Ina), ["ina.api.security.microsoft.com", COM, CLASSIC]),
        (Cloud::Gcc, None, [GCC, COM, GCC]),
        (Cloud::GccHigh, None, [GOV, "login.microsoftonline.us", GOV]),
        (Cloud::Dod, None, [GOV, "login.microsoftonline.us", GOV]),
    ];

    const COM: &str = "login.microsoftonline.com";
    const CLASSIC: &str = "api.securitycenter.microsoft.com";
    const GCC: &str = "api-gcc.securitycenter.microsoft.us";
    const GOV: &str = "api-gov.securitycenter.microsoft.us";

    #[test]
    fn every_cloud_and_region_has_its_hosts_and_the_audience_of_its_tokens() {
        for (cloud, region, [api, login, audience]) in TABLE {
            let [api, login] = [api, login].map(|host| format!("https://{host}"));
            let hosts = Hosts { api, login, scope: format!("https://{audience}/.default") };
            assert_eq!(cloud.hosts(*region), Ok(hosts), "{cloud:?} {region:?}");
        }
        let clouds = [Cloud::Commercial, Cloud::Gcc, Cloud::GccHigh, Cloud::Dod];
        for (cloud, region) in clouds.into_iter().flat_map(|c| REGIONS.map(|r| (c, r))) {
            let listed = TABLE.iter().any(|(c, r, _)| (*c, *r) == (cloud, Some(region)));
            assert_eq!(cloud.hosts(Some(region)).is_ok(), listed, "{cloud:?} {region:?}");
        }
        assert_eq!(Cloud::Gcc.hosts(Some(Region::Us)), Err(NoRegions));
    }

    #[test]
    fn the_documentation_lists_them_all() {
        let docs = include_str!("../../docs/credentials.md");
        for (cloud, region, [api, login, audience]) in TABLE {
            let region = region.map_or("", Region::as_str);
            let mut rows = docs.lines().filter(|line| line.starts_with('|'));
            let wanted = [*api, login, audience, region];
            let found = rows.any(|row| wanted.iter().all(|part| row.contains(part)));
            assert!(found, "{cloud:?} {region}");
        }
    }
}
