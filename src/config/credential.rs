//! Who Lazaret is in a tenant: exactly one way to sign in.

use std::path::Path;

use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::values::{Date, Secret};

/// A credential as it is written. [`Credential::proof`] tells which it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    client_id: Option<Uuid>,
    secret: Option<Secret>,
    certificate: Option<Secret>,
    key: Option<Secret>,
    workload_identity: Option<Workload>,
    managed_identity: Option<Identity>,
    /// When the client secret ends, as Entra showed it: no token tells.
    expires: Option<Date>,
}

/// What Lazaret shows to get a token.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'c> {
    Secret {
        client_id: Uuid,
        secret: &'c Secret,
        expires: Option<Date>,
    },
    /// PEM. Without `key` the private key stands beside the certificate.
    Certificate {
        client_id: Uuid,
        certificate: &'c Secret,
        key: Option<&'c Secret>,
    },
    /// A token of another issuer, which the application trusts: Kubernetes' for a service account.
    Workload {
        client_id: Uuid,
        token: &'c Secret,
    },
    Managed(Identity),
}

/// A managed identity of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The machine's own.
    System,
    /// One that was assigned to it, by its client id.
    Assigned(Uuid),
}

/// The token file: the one that the environment names, or another.
#[derive(Debug)]
struct Workload(Secret);

/// Set in pods by Azure's workload identity webhook.
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

const WAYS: &str = "secret, certificate, workload_identity, managed_identity";

impl Credential {
    /// Which it is.
    pub fn proof(&self) -> Proof<'_> {
        self.read().expect("checked when the file was loaded")
    }

    /// Every secret that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let token = self.workload_identity.as_ref().map(|workload| &workload.0);
        [&self.secret, &self.certificate, &self.key].into_iter().flatten().chain(token)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.read().map(drop)
    }

    fn read(&self) -> Result<Proof<'_>, String> {
        let given: Vec<_> = WAYS.split(", ").filter(|way| self.has(way)).collect();
        match given[..] {
            [_] => {}
            [] => return Err(format!("say how Lazaret signs in: give one of {WAYS}")),
            _ => return Err(format!("{} are given: keep one of them", given.join(" and "))),
        }
        if self.key.is_some() && self.certificate.is_none() {
            return Err("key is the private key of a certificate: name that too".to_owned());
        }
        if self.expires.is_some() && self.secret.is_none() {
            let why = "a certificate tells its end itself, and nothing else has one";
            return Err(format!("expires is for a secret; leave it out: {why}"));
        }
        if let Some(identity) = self.managed_identity {
            return match self.client_id {
                None => Ok(Proof::Managed(identity)),
                Some(_) => Err("managed_identity takes the client id itself, or `system`: leave \
                                client_id out"
                    .to_owned()),
            };
        }
        let client_id = self.client_id.ok_or("client_id: give the client id of the application")?;
        Ok(match (&self.secret, &self.certificate, &self.workload_identity) {
            (Some(secret), ..) => Proof::Secret { client_id, secret, expires: self.expires },
            (_, Some(certificate), _) => {
                Proof::Certificate { client_id, certificate, key: self.key.as_ref() }
            }
            (.., Some(Workload(token))) => Proof::Workload { client_id, token },
            _ => unreachable!("one of them is given, and a managed identity is none"),
        })
    }

    fn has(&self, way: &str) -> bool {
        match way {
            "secret" => self.secret.is_some(),
            "certificate" => self.certificate.is_some(),
            "workload_identity" => self.workload_identity.is_some(),
            _ => self.managed_identity.is_some(),
        }
    }

    /// `key` is where it stands, such as `tenants[contoso].credential`.
    pub(super) fn resolve(&mut self, base: &Path, key: &str) {
        let token = self.workload_identity.as_mut().map(|workload| &mut workload.0);
        for (name, secret) in [
            ("secret", self.secret.as_mut()),
            ("certificate", self.certificate.as_mut()),
            ("key", self.key.as_mut()),
            ("workload_identity", token),
        ] {
            if let Some(secret) = secret {
                secret.resolve(base, format!("{key}.{name}"));
            }
        }
    }
}

impl<'de> Deserialize<'de> for Workload {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Workload;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, or {file: PATH}")
            }

            fn visit_bool<E: Error>(self, usual: bool) -> Result<Workload, E> {
                match usual {
                    true => Ok(Workload(Secret::in_file_of(TOKEN_FILE))),
                    false => Err(E::custom("write true, or {file: PATH}, or leave the key out")),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Workload, A::Error> {
                Secret::deserialize(MapAccessDeserializer::new(map)).map(Workload)
            }
        }
        from.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.as_str() {
            "system" => Ok(Self::System),
            other => other.parse().map(Self::Assigned).map_err(|_| {
                D::Error::custom(format!(
                    "{text:?} is no managed identity: write system, or the client id of one that \
                     is assigned to this machine"
                ))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const EXAMPLE: &str = include_str!("../../lazaret.example.yaml");
    const WRITTEN: &str = "      client_id: 66666666-7777-8888-9999-000000000000
      secret: {file: secrets/contoso}
";
    const ID: &str = "client_id: 66666666-7777-8888-9999-000000000000";

    /// The example with a credential of these lines.
    fn read(lines: &[&str]) -> Result<Config, String> {
        let lines: String = lines.iter().map(|line| format!("      {line}\n")).collect();
        assert!(EXAMPLE.contains(WRITTEN));
        let text = EXAMPLE.replacen(WRITTEN, &lines, 1);
        Config::parse(&text, Path::new("/etc/lazaret.yaml")).map_err(|why| why.to_string())
    }

    #[test]
    fn each_way_to_sign_in_is_read() {
        let proof = |lines: &[&str]| {
            let config = read(lines).unwrap();
            let credential = config.tenants[0].credential();
            let places: Vec<_> = credential.secrets().map(Secret::place).collect();
            let kind = match credential.proof() {
                Proof::Secret { expires, .. } if expires.is_some() => "secret that ends",
                Proof::Secret { .. } => "secret",
                Proof::Certificate { key: None, .. } => "both",
                Proof::Certificate { .. } => "certificate",
                Proof::Workload { .. } => "workload",
                Proof::Managed(Identity::System) => "system",
                Proof::Managed(Identity::Assigned(_)) => "assigned",
            };
            (kind, places.join(" "))
        };
        let of = |kind, places: &str| (kind, places.to_owned());
        assert_eq!(proof(&[ID, "secret: {file: a}"]), of("secret", "/etc/a"));
        let ends = [ID, "secret: {env: A}", "expires: 2027-01-31"];
        assert_eq!(proof(&ends), of("secret that ends", "the environment variable A"));
        assert_eq!(proof(&[ID, "certificate: {file: a.pem}"]), of("both", "/etc/a.pem"));
        let two = [ID, "certificate: {file: a}", "key: {file: /b}"];
        assert_eq!(proof(&two), of("certificate", "/etc/a /b"));
        let usual = "the file that the environment variable AZURE_FEDERATED_TOKEN_FILE names";
        assert_eq!(proof(&[ID, "workload_identity: true"]), of("workload", usual));
        assert_eq!(proof(&[ID, "workload_identity: {file: t}"]), of("workload", "/etc/t"));
        assert_eq!(proof(&["managed_identity: system"]), of("system", ""));
        let assigned = ID.replace("client_id", "managed_identity");
        assert_eq!(proof(&[&assigned]), of("assigned", ""));
    }

    #[test]
    fn any_other_number_of_ways_is_refused_with_its_place() {
        for (lines, says) in [
            (&[ID][..], "give one of secret, certificate, workload_identity, managed_identity"),
            (&[ID, "secret: {file: a}", "certificate: {file: b}"], "secret and certificate are"),
            (&[ID, "workload_identity: true", "managed_identity: system"], "keep one of them"),
            (&["secret: {file: a}"], "client_id: give the client id of the application"),
            (&[ID, "managed_identity: system"], "leave client_id out"),
            (&[ID, "secret: {file: a}", "key: {file: b}"], "key is the private key of a"),
            (&[ID, "certificate: {file: a}", "expires: 2027-01-31"], "expires is for a secret"),
            (&[ID, "workload_identity: false"], "write true, or {file: PATH}"),
            (&["managed_identity: mine"], "write system, or the client id"),
        ] {
            let said = read(lines).unwrap_err();
            let place = said.strip_prefix("/etc/lazaret.yaml:").unwrap_or_else(|| panic!("{said}"));
            let mut place = place.split(':').map(str::parse::<usize>);
            let line = EXAMPLE.lines().position(|line| line == "    credential:").unwrap() + 1;
            let at = (place.next().unwrap().unwrap(), place.next().unwrap().unwrap());
            assert!((line..line + 4).contains(&at.0) && at.1 > 1, "{said}");
            assert!(said.contains(says), "{lines:?}: {said}");
        }
    }

    #[test]
    fn tokens_for_brokers_come_from_a_tenant_and_go_over_tls_only() {
        let at = EXAMPLE.find("        protocol: SASL_SSL").unwrap();
        let end = EXAMPLE.find("        # ca: kafka-ca.pem").unwrap();
        assert!(EXAMPLE[at..end].contains("mechanism: PLAIN"));
        let read = |security: &str, brokers: &str| {
            let text = format!("{}        {security}\n{}", &EXAMPLE[..at], &EXAMPLE[end..]);
            let text = text.replace("[contoso-soc.servicebus.windows.net:9093]", brokers);
            Config::parse(&text, Path::new("/etc/lazaret.yaml")).map_err(|why| why.to_string())
        };
        let good =
            "protocol: SASL_SSL\n        mechanism: OAUTHBEARER\n        credential: contoso";
        read(good, "[a.servicebus.windows.net:9093]").unwrap();
        read(good, "['b:9093', 'b:9094']").unwrap();
        for (security, brokers, says) in [
            (good, "['a:1', 'b:1']", "a token is for one host"),
            (&good.replace("SASL_SSL", "SASL_PLAINTEXT"), "['a:1']", "use the protocol SASL_SSL"),
            (&good.replace(": contoso", ": fabrikam"), "['a:1']", "there is no tenant fabrikam"),
            (&good.replace("OAUTHBEARER", "PLAIN"), "['a:1']", "for the mechanism OAUTHBEARER"),
            (&good.replace("credential", "username"), "['a:1']", "leave username and password out"),
            (
                "protocol: SASL_SSL\n        mechanism: OAUTHBEARER",
                "['a:1']",
                "needs credential: name the tenant",
            ),
            ("credential: contoso", "['a:1']", "need a SASL protocol"),
        ] {
            let said = read(security, brokers).unwrap_err();
            assert!(said.contains(says), "{security}: {said}");
        }
    }
}
