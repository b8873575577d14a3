//! URLs, built from typed segments only: no text from outside can steer one.

use reqwest::Url;

use crate::domain::ids::{MachineActionId, MachineId};

/// Why a base URL can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("{0:?} is no URL")]
    Malformed(String),
    #[error("{0}: http:// is accepted on a loopback address only; use https://")]
    NotSecure(String),
    #[error("{0}: give scheme, host and port only, without path, query or user")]
    NotABase(String),
}

/// A base URL: https, or http on loopback, and nothing after the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(Url);

impl Base {
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError::Malformed(text.to_owned()))?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        match url.scheme() {
            // A user or a password is never echoed.
            _ if !bare || !url.has_host() => Err(UrlError::NotABase(without_secrets(url))),
            "https" => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            _ => Err(UrlError::NotSecure(url.to_string())),
        }
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The same host and port as an https URL, which is all that some libraries accept.
    pub fn as_https(&self) -> String {
        self.0.as_str().replacen("http://", "https://", 1)
    }

    pub fn quarantine(&self, machine: MachineId) -> Url {
        self.join(&["api", "machines", &machine.to_string(), "StopAndQuarantineFile"])
    }

    pub fn machine_actions(&self) -> Url {
        self.join(&["api", "machineactions"])
    }

    /// `None` for an id that is not made of letters, digits and `-` alone: Defender's are UUIDs,
    /// and nothing else may steer a URL.
    pub fn cancel(&self, id: &MachineActionId) -> Option<Url> {
        let plain = id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain.then(|| self.join(&["api", "machineactions", id.as_str(), "cancel"]))
    }

    fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        url.path_segments_mut().expect("an http URL has segments").clear().extend(segments);
        // The URL library drops segments such as "..": none of ours can be one.
        assert!(url.path_segments().is_some_and(|path| path.eq(segments.iter().copied())));
        url
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn without_secrets(mut url: Url) -> String {
    // Fails only where there is no host to have a user.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_accepted_on_loopback_only() {
        for base in ["https://api.contoso.com", "http://127.0.0.1:9980", "http://[::1]:1/"] {
            assert!(Base::parse(base).is_ok(), "{base}");
        }
        for base in ["http://10.0.0.1", "http://127.0.0.1.contoso.com", "ftp://127.0.0.1"] {
            assert!(matches!(Base::parse(base), Err(UrlError::NotSecure(_))), "{base}");
        }
        assert!(matches!(Base::parse("api.contoso.com"), Err(UrlError::Malformed(_))));
    }

    #[test]
    fn a_base_has_nothing_after_its_host_and_no_secret_is_echoed() {
        for base in ["https://a/x", "https://a/?q=1", "https://a/#f", "https://u:secret@a/"] {
            let error = Base::parse(base).unwrap_err();
            assert!(matches!(error, UrlError::NotABase(_)), "{base}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_path_is_exactly_the_documented_one() {
        let base = Base::parse("https://api.contoso.com").unwrap();
        let machine = MachineId::parse("1E5BC9D7E413DDD7902C2932E418702B84D0CC07").unwrap();
        assert_eq!(
            base.quarantine(machine).as_str(),
            "https://api.contoso.com/api/machines/1e5bc9d7e413ddd7902c2932e418702b84d0cc07/\
             StopAndQuarantineFile"
        );
        assert_eq!(base.machine_actions().as_str(), "https://api.contoso.com/api/machineactions");
        let id = MachineActionId::parse("988cc94e-7a8f-4b28-ab65-54970c5d5018").unwrap();
        assert_eq!(
            base.cancel(&id).unwrap().as_str(),
            "https://api.contoso.com/api/machineactions/988cc94e-7a8f-4b28-ab65-54970c5d5018/cancel"
        );
        for steering in ["..", ".", "a/b", "a?b", "a%2e", "a#b", "a\\b"] {
            let id = MachineActionId::parse(steering).unwrap();
            assert_eq!(base.cancel(&id), None, "{steering}");
        }
    }
}
