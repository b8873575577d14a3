//! `AdditionalFields`: an entity as JSON in a text, as Newtonsoft's serialiser writes it. An object
//! that stands there twice has `$id` at one place and is `{"$ref": id}` at the others; which is
//! which follows from no order.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Entity, reference};
use crate::domain::candidate::Field;
use crate::domain::join::Stated;
use crate::formats::lenient::{MaybeObject, Object, OneOrMany, Text};
use crate::formats::read;

/// What an entity says of itself.
pub(super) struct Additional<'a> {
    pub machine: Stated,
    pub sha1: Text<'a>,
    /// The first that is known of each field counts.
    pub fields: Vec<(Field, Text<'a>)>,
}

impl Additional<'_> {
    fn into_owned(self) -> Additional<'static> {
        let fields = self.fields.into_iter().map(|(field, text)| (field, text.into_owned()));
        Additional { machine: self.machine, sha1: self.sha1.into_owned(), fields: fields.collect() }
    }
}

/// A file, a process or a machine: their keys differ.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    #[serde(borrow)]
    host: Option<MaybeObject<Host<'a>>>,
    #[serde(borrow)]
    image_file: Option<MaybeObject<ImageFile<'a>>>,
    #[serde(borrow, default)]
    file_hashes: OneOrMany<FileHash<'a>>,
    /// Of a machine, which is its own host.
    #[serde(borrow, default)]
    machine_id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    directory: Text<'a>,
    #[serde(borrow, default)]
    publisher: Text<'a>,
    #[serde(borrow, default)]
    last_verdict: Text<'a>,
    #[serde(borrow, default)]
    last_remediation_state: Text<'a>,
    #[serde(borrow, default)]
    detection_status: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageFile<'a> {
    #[serde(borrow, default, rename = "$ref")]
    reference: Text<'a>,
    #[serde(borrow)]
    host: Option<MaybeObject<Host<'a>>>,
    #[serde(borrow, default)]
    file_hashes: OneOrMany<FileHash<'a>>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    directory: Text<'a>,
    #[serde(borrow, default)]
    publisher: Text<'a>,
    #[serde(borrow, default)]
    last_verdict: Text<'a>,
    #[serde(borrow, default)]
    last_remediation_state: Text<'a>,
    #[serde(borrow, default)]
    detection_status: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Host<'a> {
    #[serde(borrow, default, rename = "$id")]
    id: Text<'a>,
    #[serde(borrow, default, rename = "$ref")]
    reference: Text<'a>,
    #[serde(borrow, default)]
    machine_id: Text<'a>,
    #[serde(borrow, default)]
    host_name: Text<'a>,
    #[serde(borrow, default)]
    dns_domain: Text<'a>,
    #[serde(borrow, default, rename = "FQDN")]
    fqdn: Text<'a>,
    #[serde(borrow, default)]
    net_bios_name: Text<'a>,
    #[serde(borrow, default)]
    aad_device_id: Text<'a>,
    #[serde(borrow, default, rename = "AzureID")]
    azure_id: Text<'a>,
}

impl<'a> Host<'a> {
    /// Whether it is known by something else than its id.
    fn is_named(&self) -> bool {
        let names = [
            &self.host_name,
            &self.dns_domain,
            &self.fqdn,
            &self.net_bios_name,
            &self.aad_device_id,
            &self.azure_id,
        ];
        names.into_iter().any(|name| *name == Text::Other || name.clone().known().is_some())
    }

    /// Its full name, by which lists know machines; a first label alone is none.
    fn full_name(&self) -> Text<'a> {
        let name = self.host_name.clone().known();
        let domain = self.dns_domain.clone().known();
        match (name, domain) {
            (Some(name), _) if name.contains('.') => Text::Is(name),
            (Some(name), Some(domain)) => Text::Is(Cow::Owned(format!("{name}.{domain}"))),
            _ => Text::Missing,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FileHash<'a> {
    #[serde(borrow, default, rename = "$ref")]
    reference: Text<'a>,
    #[serde(borrow, default)]
    algorithm: Text<'a>,
    #[serde(borrow, default)]
    value: Text<'a>,
}

impl Body<'_> {
    /// Whether the host of a process is only named again, as it nearly always is, and nothing else
    /// that is read stands elsewhere.
    fn is_its_images_host(&self) -> bool {
        let own = object(&self.host).map(|host| host.reference.clone().known());
        let Some((image, Some(own))) = object(&self.image_file).zip(own) else { return false };
        let hashes = image.file_hashes.0.iter().all(|hash| hash.reference == Text::Missing);
        let host = object(&image.host);
        hashes
            && image.reference == Text::Missing
            && host.is_some_and(|host| {
                host.reference == Text::Missing && host.id.clone().known() == Some(own)
            })
    }

    /// Whether something that is read stands elsewhere.
    fn refers(&self) -> bool {
        let there = |text: &Text<'_>| *text != Text::Missing;
        let host = |host: &Option<MaybeObject<Host<'_>>>| {
            object(host).is_some_and(|host| there(&host.reference))
        };
        let hash =
            |hashes: &OneOrMany<FileHash<'_>>| hashes.0.iter().any(|hash| there(&hash.reference));
        let image = object(&self.image_file);
        let within = |image: &ImageFile<'_>| {
            there(&image.reference) || host(&image.host) || hash(&image.file_hashes)
        };
        host(&self.host) || hash(&self.file_hashes) || image.is_some_and(within)
    }
}

/// Whether only one object has the `$id` that a host refers to, as far as that shows in the text:
/// which of two is meant, nobody knows.
fn has_one(text: &str, host: &Option<MaybeObject<Host<'_>>>) -> bool {
    let Some(id) = object(host).and_then(|host| host.reference.clone().known()) else {
        return false;
    };
    let value = |after: &str| {
        let value = after.trim_start().strip_prefix(':').map_or("", str::trim_start);
        value
            .strip_prefix('"')
            .is_some_and(|value| value.strip_prefix(&*id).is_some_and(|rest| rest.starts_with('"')))
    };
    // A key with an escape would not show.
    !text.contains("\\u") && text.split("$id\"").skip(1).filter(|after| value(after)).count() == 1
}

fn object<T>(place: &Option<MaybeObject<T>>) -> Option<&T> {
    place.as_ref().and_then(|place| place.0.as_ref())
}

/// The text itself, of a row that has one.
pub(super) fn text(raw: Option<&RawValue>) -> Result<Cow<'_, str>, String> {
    match raw.map_or("null", RawValue::get) {
        "null" => Ok(Cow::Borrowed("")),
        raw if raw.starts_with('"') => serde_json::from_str(raw).map_err(unreadable),
        // Other tables, and some relays, have the object itself.
        raw => Ok(Cow::Borrowed(raw)),
    }
}

/// Reads them, or says why they can't be read. Where there are none, they say nothing.
pub(super) fn read<'a>(
    text: &'a Result<Cow<'_, str>, String>,
    entity: Entity,
) -> Result<Additional<'a>, String> {
    let text = text.as_ref().map_err(Clone::clone)?;
    if text.trim().is_empty() {
        return Ok(told(Body::default(), entity));
    }
    let body: Body = parse(text)?;
    if entity == Entity::Process && body.is_its_images_host() && has_one(text, &body.host) {
        return Ok(told(Body { host: None, ..body }, entity));
    }
    if !body.refers() {
        return Ok(told(body, entity));
    }
    let resolved = reference::resolved(text)?;
    let Object(body) = Object::<Body>::deserialize(&resolved).map_err(unreadable)?;
    Ok(told(body, entity).into_owned())
}

fn parse<'a>(text: &'a str) -> Result<Body<'a>, String> {
    read::object(text).map_err(unreadable)
}

fn unreadable(why: impl fmt::Display) -> String {
    format!("AdditionalFields can't be read: {why}")
}

fn told(body: Body<'_>, entity: Entity) -> Additional<'_> {
    if entity == Entity::Machine {
        let machine = stated("MachineId", &body.machine_id, false);
        return Additional { machine, sha1: Text::Missing, fields: Vec::new() };
    }
    // What a process says of itself goes before what its image says.
    let mut fields = vec![
        (Field::FileVerdict, body.last_verdict),
        (Field::FileRemediation, body.last_remediation_state),
        (Field::FileDetectionStatus, body.detection_status),
    ];
    let image = body.image_file.filter(|_| entity == Entity::Process);
    let mut machine = match &image {
        // Its host may be another than the one that is named beside it.
        Some(MaybeObject(None)) => Stated::Unusable("ImageFile is no object".to_owned()),
        // Resolved, it would not be a reference any more.
        Some(MaybeObject(Some(image))) if image.reference != Text::Missing => {
            Stated::Unusable("ImageFile refers to what is not there".to_owned())
        }
        _ => Stated::Nothing,
    };
    let image = image.and_then(|image| image.0);
    let image_host = image.as_ref().and_then(|image| image.host.as_ref());
    for (key, host) in [("ImageFile.Host", image_host), ("Host", body.host.as_ref())] {
        let Some(MaybeObject(host)) = host else { continue };
        machine = both(machine, host_machine(key, host.as_ref()));
        fields.extend(host.as_ref().map(|host| (Field::MachineName, host.full_name())));
    }
    let hashes = match (entity, image) {
        (Entity::Process, None) => OneOrMany::default(),
        (_, Some(image)) => {
            fields.extend([
                (Field::FileName, image.name),
                (Field::FilePath, image.directory),
                (Field::FilePublisher, image.publisher),
                (Field::FileVerdict, image.last_verdict),
                (Field::FileRemediation, image.last_remediation_state),
                (Field::FileDetectionStatus, image.detection_status),
            ]);
            image.file_hashes
        }
        (_, None) => {
            fields.extend([
                (Field::FileName, body.name),
                (Field::FilePath, body.directory),
                (Field::FilePublisher, body.publisher),
            ]);
            body.file_hashes
        }
    };
    Additional { machine, sha1: sha1_of(hashes.0), fields }
}

/// A second host, which is nearly always the first one again.
fn both(first: Stated, second: Stated) -> Stated {
    match (first, second) {
        (Stated::Nothing, second) => second,
        (Stated::Is(_), second @ Stated::Unusable(_)) => second,
        (Stated::Is(a), Stated::Is(b)) if a != b => {
            Stated::Unusable("AdditionalFields name two machines".to_owned())
        }
        (first, _) => first,
    }
}

fn host_machine(key: &str, host: Option<&Host<'_>>) -> Stated {
    let Some(host) = host else { return Stated::Unusable(format!("{key} is no object")) };
    if host.reference != Text::Missing && host.machine_id == Text::Missing {
        return Stated::Unusable(format!("{key} refers to what is not there"));
    }
    stated(&format!("{key}.MachineId"), &host.machine_id, host.is_named())
}

fn stated(key: &str, id: &Text<'_>, is_named: bool) -> Stated {
    if *id == Text::Other {
        return Stated::Unusable(format!("{key} is no text"));
    }
    match (id.clone().known(), is_named) {
        (Some(_), _) => match read::machine(key, id) {
            Ok(machine) => Stated::Is(machine),
            Err(why) => Stated::Unusable(why.0),
        },
        // Known by its name, it may be another machine than the only one that has an id.
        (None, true) => Stated::Unusable(format!("{key} is missing, though its host has a name")),
        (None, false) => Stated::Nothing,
    }
}

fn sha1_of<'a>(hashes: Vec<FileHash<'a>>) -> Text<'a> {
    let named = |hash: &FileHash<'_>| {
        hash.algorithm.clone().known().is_some_and(|name| name.eq_ignore_ascii_case("SHA1"))
    };
    if hashes.iter().any(|hash| hash.reference != Text::Missing) {
        return Text::Other;
    }
    let mut found = hashes.into_iter().filter(named).map(|hash| hash.value);
    match (found.next(), found.next()) {
        (Some(one), None) => one,
        // Which of two is meant, nobody knows: neither reads as a hash.
        (Some(_), Some(_)) => Text::Is(Cow::Borrowed("(two)")),
        (None, _) => Text::Missing,
    }
}
