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

    fn hosts(cloud: Cloud, region: Option<Region>) -> [String; 3] {
        let Hosts { api, login, scope } = cloud.hosts(region).unwrap();
        [api, login, scope]
    }

    #[test]
    fn the_audience_stays_the_classic_one_on_a_regional_host() {
        assert_eq!(
            hosts(Cloud::Commercial, Some(Region::Eu)),
            [
                "https://eu.api.security.microsoft.com",
                "https://login.microsoftonline.com",
                "https://api.securitycenter.microsoft.com/.default",
            ]
        );
    }

    #[test]
    fn government_clouds_have_hosts_logins_and_audiences_of_their_own() {
        let gcc = "https://api-gcc.securitycenter.microsoft.us";
        let scope = format!("{gcc}/.default");
        assert_eq!(
            hosts(Cloud::Gcc, None),
            [gcc, "https://login.microsoftonline.com", scope.as_str()]
        );
        let gov = "https://api-gov.securitycenter.microsoft.us";
        let scope = format!("{gov}/.default");
        let high = hosts(Cloud::GccHigh, None);
        assert_eq!(high, [gov, "https://login.microsoftonline.us", scope.as_str()]);
        assert_eq!(hosts(Cloud::Dod, None), high);
        assert_eq!(Cloud::Gcc.hosts(Some(Region::Us)), Err(NoRegions));
    }
}
