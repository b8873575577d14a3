//! Channels: who is told of what happens, where, and in which form.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::source::Security;
use super::values::{Secret, Span};
use super::{Config, is_name};
use crate::domain::breaker::Rate;
use crate::domain::notice::{Kind, Template};

/// One channel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    pub name: String,
    webhook: Option<Receiver>,
    kafka: Option<Topic>,
    /// Every kind that is told by default, where left out.
    pub kinds: Option<Vec<Kind>>,
    /// How long a message waits for more of its kind.
    pub group: Option<Span>,
    pub rate: Option<MessageRate>,
}

/// Where a channel tells.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    Webhook(&'a Receiver),
    Kafka(&'a Topic),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    pub url: ReceiverUrl,
    /// Signs as Standard Webhooks do. May be left out where the receiver can't verify.
    pub secret: Option<Secret>,
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// The whole message as JSON, where left out.
    pub body: Option<Body>,
    /// Secrets that the body names as `{{value.NAME}}`.
    #[serde(default)]
    pub values: BTreeMap<String, Secret>,
}

/// Written out, or a secret itself.
#[derive(Clone, PartialEq, Eq)]
pub enum ReceiverUrl {
    Plain(String),
    Secret(Secret),
}

/// A JSON template, checked as it is read.
#[derive(Debug)]
pub struct Body(pub Template);

/// Messages within a time: `20/1h`.
#[derive(Clone, Copy, Debug)]
pub struct MessageRate(pub Rate);

/// Every change of an action's state, as one message each.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    pub brokers: Vec<String>,
    pub topic: String,
    #[serde(default)]
    pub security: Security,
}

/// Fewer bytes could be guessed; more are no key of Standard Webhooks.
const KEY_BYTES_MIN: usize = 24;

impl Channel {
    pub const GROUP: Span = Span::seconds(30);
    pub const RATE: Rate = Rate::per_hours(60, 1);

    pub fn target(&self) -> Target<'_> {
        match (&self.webhook, &self.kafka) {
            (Some(webhook), _) => Target::Webhook(webhook),
            (None, Some(kafka)) => Target::Kafka(kafka),
            (None, None) => unreachable!("checked when the file was loaded"),
        }
    }

    /// Every secret that it names.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let receiver = self.webhook.iter().flat_map(|receiver| {
            let url = match &receiver.url {
                ReceiverUrl::Secret(url) => Some(url),
                ReceiverUrl::Plain(_) => None,
            };
            let maps = receiver.headers.values().chain(receiver.values.values());
            url.into_iter().chain(&receiver.secret).chain(maps)
        });
        let topic = self.kafka.iter().filter_map(|topic| topic.security.password.as_ref());
        receiver.chain(topic)
    }

    pub(super) fn check(&self, config: &Config) -> Result<(), String> {
        if self.webhook.is_some() == self.kafka.is_some() {
            return Err("a channel is either a webhook or a kafka topic: give one".into());
        }
        match self.target() {
            Target::Webhook(receiver) => receiver.check()?,
            Target::Kafka(topic) => {
                if self.kinds.is_some() || self.group.is_some() || self.rate.is_some() {
                    return Err("kinds, group and rate are for a webhook: a topic gets every \
                                change of an action's state"
                        .into());
                }
                if topic.brokers.is_empty() || !is_name(&topic.topic.replace('.', "_")) {
                    return Err("kafka: name at least one broker, and a topic".into());
                }
                topic.security.check(&topic.brokers, config)?;
            }
        }
        if self.kinds.as_ref().is_some_and(Vec::is_empty) {
            return Err("kinds: name at least one, or leave the key out".into());
        }
        let hour = std::time::Duration::from_secs(3600);
        if self.group.is_some_and(|group| group.0 > hour) {
            return Err("group: at most 1h".into());
        }
        Ok(())
    }

    pub(super) fn resolve_paths(&mut self, base: &Path) {
        let name = &self.name;
        if let Some(receiver) = &mut self.webhook {
            let at = format!("notify[{name}].webhook");
            if let ReceiverUrl::Secret(url) = &mut receiver.url {
                url.resolve(base, format!("{at}.url"));
            }
            if let Some(secret) = &mut receiver.secret {
                secret.resolve(base, format!("{at}.secret"));
                secret.at_least(KEY_BYTES_MIN);
            }
            for (key, value) in &mut receiver.headers {
                value.resolve(base, format!("{at}.headers.{key}"));
            }
            for (key, value) in &mut receiver.values {
                value.resolve(base, format!("{at}.values.{key}"));
            }
        }
        if let Some(topic) = &mut self.kafka {
            topic.security.resolve_paths(base, &format!("notify[{name}].kafka.security"));
        }
    }
}

impl Receiver {
    fn check(&self) -> Result<(), String> {
        let Some(Body(template)) = &self.body else {
            return match self.values.keys().next() {
                Some(name) => Err(format!("values: there is no body that names {name}")),
                None => Ok(()),
            };
        };
        if let Some(name) = template.secrets().find(|name| !self.values.contains_key(*name)) {
            return Err(format!("body: there is no {name} among values"));
        }
        Ok(())
    }
}

/// Never shown: who knows the URL may post to it.
impl fmt::Debug for ReceiverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceiverUrl")
    }
}

impl<'de> Deserialize<'de> for ReceiverUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ReceiverUrl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL, {file: PATH} or {env: NAME}")
            }

            fn visit_str<E: serde::de::Error>(self, url: &str) -> Result<ReceiverUrl, E> {
                Ok(ReceiverUrl::Plain(url.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ReceiverUrl, A::Error> {
                Secret::deserialize(MapAccessDeserializer::new(map)).map(ReceiverUrl::Secret)
            }
        }
        from.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Template::parse(&String::deserialize(from)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for MessageRate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Rate::parse(&text).map(Self).ok_or_else(|| {
            D::Error::custom(format!("{text:?} is no rate: write 20/1h, of a minute to a week"))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::Config;
    use crate::domain::notice::{Fill, Message};
    use crate::domain::time::Wall;

    const EXAMPLE: &str = include_str!("../../lazaret.example.yaml");
    const DOCS: &str = include_str!("../../docs/notify.md");

    fn parse(channels: &str) -> Result<Config, String> {
        let text = format!("{EXAMPLE}\nnotify:\n{channels}\n");
        Config::parse(&text, Path::new("/etc/lazaret.yaml")).map_err(|why| why.to_string())
    }

    fn blocks(language: &str) -> impl Iterator<Item = &str> {
        let fence = format!("```{language}\n");
        let blocks: Vec<_> = DOCS.split(&fence).skip(1).collect();
        blocks.into_iter().map(|block| block.split("```").next().unwrap())
    }

    /// What the channel posts for a message that is hard to carry.
    fn filled(channel: &Channel) -> Value {
        let Target::Webhook(receiver) = channel.target() else { panic!("it is a webhook") };
        let body = receiver.body.as_ref().unwrap();
        let values = receiver.values.keys().map(|name| (name.clone(), "value".into())).collect();
        let mut message = Message::test(Wall(0));
        message.summary = "a \"quoted\" text\nof two lines".to_owned();
        let details = serde_json::to_string(&message).unwrap();
        let (id, node) = ("soc-1-0", "lazaret-1");
        let fill = Fill { message: &message, id, node, details: &details, values: &values };
        serde_json::from_str(&body.0.fill(&fill)).unwrap()
    }

    #[test]
    fn every_template_of_the_documentation_loads_and_is_json() {
        let channels: String = blocks("yaml").filter(|block| block.starts_with("- name")).collect();
        let config = parse(&channels).unwrap();
        let said = "a \"quoted\" text\nof two lines";
        let mut seen = 0;
        for channel in config.notify.iter().filter(|channel| channel.name != "outcomes") {
            let json = filled(channel);
            let at = match &channel.name[..] {
                "slack" => (&json["text"], format!("*info* {said}")),
                "teams" => {
                    let card = &json["attachments"][0]["content"];
                    assert_eq!(card["type"], "AdaptiveCard");
                    (&card["body"][1]["text"], said.to_owned())
                }
                "pagerduty" => {
                    assert_eq!(json["routing_key"], "value");
                    assert_eq!(json["payload"]["custom_details"]["kind"], "test");
                    (&json["payload"]["summary"], said.to_owned())
                }
                "sentinel" => (&json[0]["Summary"], said.to_owned()),
                other => panic!("{other} is not tested"),
            };
            assert_eq!(*at.0, at.1);
            seen += 1;
        }
        assert_eq!((seen, config.notify.len()), (4, 5));
        for block in blocks("json") {
            serde_json::from_str::<Value>(block).unwrap();
        }
        let first = blocks("yaml").next().unwrap().strip_prefix("notify:\n").unwrap();
        parse(first).unwrap();
        for kind in Kind::ALL {
            let row = format!("`{kind}`");
            assert!(DOCS.contains(&row), "{kind} is not documented");
        }
    }

    #[test]
    fn the_commented_example_loads() {
        let channels = EXAMPLE.split("# notify:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let channels: String =
            channels.lines().map(|line| format!("{}\n", line.trim_start_matches('#'))).collect();
        assert_eq!(parse(&channels).unwrap().notify.len(), 2);
    }

    #[test]
    fn wrong_channels_say_what_is_right() {
        let hook = "webhook: {url: 'https://hooks.example.org'}";
        for (channel, part) in [
            ("- {name: soc}".to_owned(), "either a webhook or a kafka topic"),
            (format!("- {{name: soc, {hook}, kinds: []}}"), "name at least one"),
            (format!("- {{name: soc, {hook}, kinds: [digest]}}"), "digest"),
            (format!("- {{name: soc, {hook}, kind: [held]}}"), "kind"),
            (format!("- {{name: soc, {hook}, rate: 20}}"), "20/1h"),
            (format!("- {{name: soc, {hook}, group: 2h}}"), "at most 1h"),
            (format!("- {{name: soc, {hook}}}\n- {{name: soc, {hook}}}"), "named twice"),
            (
                "- {name: t, rate: 1/1h, kafka: {brokers: [b:1], topic: t}}".to_owned(),
                "are for a webhook",
            ),
            (
                "- {name: s, webhook: {url: 'https://a', body: '{{summry}}'}}".to_owned(),
                "no placeholder",
            ),
            (
                "- {name: s, webhook: {url: 'https://a', body: '\"{{value.k}}\"'}}".to_owned(),
                "no k among values",
            ),
        ] {
            let said = parse(&channel).unwrap_err();
            assert!(said.contains(part), "{channel}: {said}");
        }
        let said = parse("- name: soc\n  webhook:\n    uri: https://a").unwrap_err();
        let line = EXAMPLE.lines().count() + 5;
        assert!(said.starts_with(&format!("/etc/lazaret.yaml:{line}:5: ")), "{said}");
    }

    #[test]
    fn a_secret_that_stands_in_the_configuration_itself_is_not_repeated() {
        for wrong in [
            "headers: {Authorization: hush-hush}",
            "values: {routing_key: hush-hush}",
            "secret: hush-hush",
            "headers:\n      X-Api-Key: hush-hush",
            "headers:\n      X-Api-Key: {fil: hush-hush}",
        ] {
            let said = parse(&format!("- name: s\n  webhook:\n    url: https://a\n    {wrong}"));
            let said = said.unwrap_err();
            assert!(!said.contains("hush") && said.contains("{env: NAME}"), "{said}");
        }
        let config = parse("- {name: s, webhook: {url: 'https://a/hush'}}").unwrap();
        assert!(!format!("{config:?}").contains("hush"));
    }
}
