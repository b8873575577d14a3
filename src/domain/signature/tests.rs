use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: Wall = Wall(1_700_000_000_000_000);
const BODY: &[u8] = br#"{"id":"441688558380765161_2136280442"}"#;
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_WHSEC: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

type Pairs = Vec<(String, String)>;

fn seal(scheme: &Scheme, secrets: &[&str]) -> Result<Seal, SealError> {
    let secrets: Vec<SecretString> = secrets.iter().map(|text| (*text).into()).collect();
    Seal::new(scheme.clone(), &secrets)
}

fn standard() -> Seal {
    seal(&Scheme::StandardWebhooks, &[WHSEC]).unwrap()
}

fn generic(algorithm: Algorithm, encoding: Encoding, template: &str) -> HmacScheme {
    HmacScheme {
        header: "X-Signature".into(),
        algorithm,
        encoding,
        prefix: "sha=".into(),
        signs: Template::parse(template).unwrap(),
        timestamp: template.contains("{timestamp}").then(|| TimestampHeader {
            header: "X-Timestamp".into(),
            tolerance: Duration::from_secs(60),
        }),
        id: template.contains("{id}").then(|| "X-Id".into()),
    }
}

fn signed_schemes() -> Vec<Scheme> {
    let hmac = |algorithm, encoding, template| {
        Scheme::Hmac(Box::new(generic(algorithm, encoding, template)))
    };
    vec![
        Scheme::StandardWebhooks,
        Scheme::Github,
        Scheme::Slack,
        Scheme::Stripe,
        hmac(Algorithm::Sha256, Encoding::Hex, "{body}"),
        hmac(Algorithm::Sha512, Encoding::Base64, "{body}{timestamp}"),
        hmac(Algorithm::Sha256, Encoding::Base64, "v1:{timestamp}:{id}:{body}"),
        hmac(Algorithm::Sha512, Encoding::Hex, "{id}.{body}"),
    ]
}

fn headers(pairs: &Pairs) -> Vec<(&str, &[u8])> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

fn verify(seal: &Seal, pairs: &Pairs, body: &[u8], now: Wall) -> Result<Verified, SignatureError> {
    seal.verify(Proof::new(&headers(pairs), body), now)
}

fn sign(seal: &Seal, at: Wall) -> Pairs {
    seal.sign(&Message { id: "msg_1", at, body: BODY })
}

fn with(mut pairs: Pairs, name: &str, value: &str) -> Pairs {
    pairs.iter_mut().find(|(other, _)| other == name).unwrap().1 = value.into();
    pairs
}

#[test]
fn published_vectors_verify_and_are_what_we_sign() {
    #[derive(serde::Deserialize)]
    struct Vector {
        scheme: String,
        secret: String,
        at: i64,
        headers: std::collections::BTreeMap<String, String>,
        body: String,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let scheme = match vector.scheme.as_str() {
            "standard-webhooks" => Scheme::StandardWebhooks,
            "github" => Scheme::Github,
            "slack" => Scheme::Slack,
            "stripe" => Scheme::Stripe,
            other => panic!("{other}"),
        };
        let seal = seal(&scheme, &[&vector.secret]).unwrap();
        let at = Wall(vector.at * 1_000_000);
        let pairs: Pairs = vector.headers.clone().into_iter().collect();
        let verified = verify(&seal, &pairs, vector.body.as_bytes(), at);
        assert_eq!(verified.unwrap().secret, Some(0), "{}", vector.scheme);

        let id = vector.headers.get("webhook-id").map_or("", String::as_str);
        let signed = seal.sign(&Message { id, at, body: vector.body.as_bytes() });
        let lower = |(name, value): (String, String)| (name.to_lowercase(), value);
        let (mut signed, mut published): (Pairs, Pairs) =
            (signed.into_iter().map(lower).collect(), pairs.into_iter().map(lower).collect());
        signed.sort();
        published.sort();
        assert_eq!(signed, published);
    }
}

#[test]
fn svix_names_are_standard_names() {
    let seal = standard();
    let pairs: Pairs = sign(&seal, NOW)
        .into_iter()
        .map(|(name, value)| (name.replace("webhook-", "Svix-"), value))
        .collect();
    assert!(verify(&seal, &pairs, BODY, NOW).is_ok());
}

#[test]
fn a_family_of_names_is_never_mixed_with_the_other() {
    let seal = standard();
    let mut pairs = sign(&seal, NOW);
    pairs[0].0 = "svix-id".into();
    let missing = SignatureError::Missing("webhook-id".into());
    assert_eq!(verify(&seal, &pairs, BODY, NOW), Err(missing));
}

#[test]
fn any_of_three_secrets_opens_and_tells_which() {
    let scheme = Scheme::Github;
    let receiver = seal(&scheme, &["old", "new", "newest"]).unwrap();
    for (index, secret) in ["old", "new", "newest"].into_iter().enumerate() {
        let pairs = sign(&seal(&scheme, &[secret]).unwrap(), NOW);
        assert_eq!(verify(&receiver, &pairs, BODY, NOW).unwrap().secret, Some(index));
    }
    let pairs = sign(&seal(&scheme, &["forgotten"]).unwrap(), NOW);
    assert_eq!(verify(&receiver, &pairs, BODY, NOW), Err(SignatureError::Mismatch));
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let seal = standard();
    let other = seal_other_signature();
    let pairs = sign(&seal, NOW);
    let good = pairs[2].1.clone();
    let many = format!("v1a,c29tZXRoaW5n v2 {other} {good} v9,x");
    assert!(verify(&seal, &with(pairs.clone(), "webhook-signature", &many), BODY, NOW).is_ok());

    let eight = [other.as_str(); 8].join(" ");
    let nine = format!("{eight} {good}");
    let refused = verify(&seal, &with(pairs.clone(), "webhook-signature", &nine), BODY, NOW);
    assert!(matches!(refused, Err(SignatureError::Malformed { .. })), "{refused:?}");

    let newer = good.replace("v1,", "v2,");
    let refused = verify(&seal, &with(pairs, "webhook-signature", &newer), BODY, NOW);
    assert!(matches!(refused, Err(SignatureError::Malformed { .. })), "{refused:?}");
}

fn seal_other_signature() -> String {
    let other = seal(&Scheme::StandardWebhooks, &[OTHER_WHSEC]).unwrap();
    sign(&other, NOW)[2].1.clone()
}

#[test]
fn the_tolerance_holds_to_the_second_both_ways() {
    for scheme in signed_schemes() {
        let tolerance = match &scheme {
            Scheme::Github => continue,
            Scheme::Hmac(scheme) if scheme.timestamp.is_none() => continue,
            Scheme::Hmac(_) => 60,
            _ => 300,
        };
        let seal = seal(&scheme, &[WHSEC]).unwrap();
        let pairs = sign(&seal, NOW);
        let at = |seconds: i64| verify(&seal, &pairs, BODY, Wall(NOW.0 + seconds * 1_000_000));
        assert!(at(tolerance).is_ok() && at(-tolerance).is_ok(), "{scheme:?}");
        let by_s = u64::try_from(tolerance).unwrap() + 1;
        assert_eq!(at(tolerance + 1), Err(SignatureError::TooOld { by_s }));
        assert_eq!(at(-tolerance - 1), Err(SignatureError::TooNew { by_s }));
    }
}

#[test]
fn a_timestamp_is_digits_and_nothing_else() {
    let seal = standard();
    for text in ["+1700000000", "1700000000.0", " 1700000000", "0x65", "-1", "1.7e9", "٣", "", "x"]
    {
        let pairs = with(sign(&seal, NOW), "webhook-timestamp", text);
        let refused = verify(&seal, &pairs, BODY, NOW);
        assert!(matches!(refused, Err(SignatureError::Malformed { .. })), "{text}: {refused:?}");
    }
    let far = with(sign(&seal, NOW), "webhook-timestamp", "99999999999");
    assert!(matches!(verify(&seal, &far, BODY, NOW), Err(SignatureError::TooNew { .. })));
}

#[test]
fn each_security_header_must_be_there_once() {
    for scheme in signed_schemes() {
        let seal = seal(&scheme, &[WHSEC]).unwrap();
        let pairs = sign(&seal, NOW);
        for index in 0..pairs.len() {
            let mut fewer = pairs.clone();
            let (name, value) = fewer.remove(index);
            let refused = verify(&seal, &fewer, BODY, NOW);
            assert!(matches!(refused, Err(SignatureError::Missing(_))), "{name}: {refused:?}");

            let mut more = pairs.clone();
            more.push((name.to_uppercase(), value));
            let refused = verify(&seal, &more, BODY, NOW);
            assert!(matches!(refused, Err(SignatureError::Repeated(_))), "{name}: {refused:?}");
        }
    }
}

#[test]
fn stripe_takes_one_timestamp_and_any_of_its_signatures() {
    let seal = seal(&Scheme::Stripe, &["whsec_as_it_is"]).unwrap();
    let good = sign(&seal, NOW)[0].1.clone();
    let wrong = "0".repeat(64);
    let check = |value: &str| {
        verify(&seal, &vec![("Stripe-Signature".into(), value.into())], BODY, NOW).is_ok()
    };
    assert!(check(&good.replace("v1=", &format!("v0={wrong},v1={wrong},v1="))));
    assert!(!check(&format!("{good},t=1700000000")));
    assert!(!check(&good.replace("t=", "s=")));
}

#[test]
fn bearer_compares_the_whole_token() {
    let seal = seal(&Scheme::Bearer, &["first", "second"]).unwrap();
    let check =
        |value: &str| verify(&seal, &vec![("Authorization".into(), value.into())], b"", NOW);
    let verified = Verified { replay: None, secret: Some(1) };
    assert_eq!(check("Bearer second"), Ok(verified.clone()));
    assert_eq!(check("bearer second"), Ok(verified));
    for refused in ["Bearer secon", "Bearer second ", "Bearer ", "Basic second", "second"] {
        assert!(check(refused).is_err(), "{refused}");
    }
}

#[test]
fn none_asks_for_nothing() {
    let seal = seal(&Scheme::None, &[]).unwrap();
    assert!(seal.sign(&Message { id: "", at: NOW, body: BODY }).is_empty());
    let verified = Verified { replay: None, secret: None };
    assert_eq!(verify(&seal, &Vec::new(), b"anything", NOW), Ok(verified));
}

#[test]
fn a_replay_id_is_the_signed_id_or_the_signed_bytes() {
    let replay = |seal: &Seal, id: &str, at: Wall, body: &[u8]| {
        let pairs = seal.sign(&Message { id, at, body });
        verify(seal, &pairs, body, at).unwrap().replay.unwrap()
    };
    let later = NOW + Duration::from_secs(1);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);

    let standard = standard();
    let first = replay(&standard, "msg_1", NOW, BODY);
    assert_eq!(first.id, "msg_1");
    assert_eq!(first.keep_until, NOW + minutes(15));
    assert_eq!(replay(&standard, "msg_1", later, b"{}").id, first.id);
    assert_ne!(replay(&standard, "msg_2", NOW, BODY).id, first.id);

    let (fits, long) = ("x".repeat(64), "x".repeat(65));
    assert_eq!(replay(&standard, &fits, NOW, BODY).id, fits);
    let hash = hex::encode(Sha256::digest(&long));
    assert_eq!(replay(&standard, &long, NOW, BODY).id, format!("sha256:{hash}"));

    let slack = seal(&Scheme::Slack, &["s"]).unwrap();
    let first = replay(&slack, "", NOW, BODY);
    assert_eq!(first.keep_until, NOW + minutes(15));
    assert_ne!(replay(&slack, "", later, BODY).id, first.id);

    let github = seal(&Scheme::Github, &["s"]).unwrap();
    let first = replay(&github, "", NOW, BODY);
    assert_eq!(first.id, format!("sha256:{}", hex::encode(Sha256::digest(BODY))));
    assert_eq!(first.keep_until, NOW + minutes(24 * 60));
    assert_eq!(replay(&github, "", later, BODY).id, first.id);
}

#[test]
fn secrets_that_could_not_work_are_refused_and_none_is_shown() {
    let refused = |scheme, secrets: &[&str]| seal(&scheme, secrets).unwrap_err().to_string();
    assert_eq!(refused(Scheme::Github, &[""]), "secret 1 is empty");
    assert_eq!(refused(Scheme::Github, &["a", " \n"]), "secret 2 is empty");
    assert_eq!(refused(Scheme::Slack, &["a\n"]), "secret 1 begins or ends with white space");
    assert_eq!(refused(Scheme::Stripe, &[]), "0 secrets are given; this scheme takes 1 to 3");
    assert_eq!(refused(Scheme::Stripe, &["a"; 4]), "4 secrets are given; this scheme takes 1 to 3");
    assert_eq!(refused(Scheme::None, &["a"]), "1 secrets are given; this scheme takes 0 to 0");
    for text in ["whsec_", "whsec_c2hvcnQ=", "whsec_not base64!", "YQ=="] {
        let why = refused(Scheme::StandardWebhooks, &[text]);
        assert!(!why.contains(text), "{why}");
    }
    let long = format!("whsec_{}", "A".repeat(88));
    assert!(refused(Scheme::StandardWebhooks, &[&long]).contains("24 to 64 bytes"));
    assert!(refused(Scheme::Bearer, &["two words"]).contains("header"));

    let shown = format!("{:?}", seal(&Scheme::Github, &["hunter2"]).unwrap());
    assert_eq!(shown, "Seal(Github, 1 secrets)");
}

#[test]
fn any_one_flipped_bit_of_the_body_is_refused() {
    for scheme in signed_schemes() {
        let seal = seal(&scheme, &[WHSEC]).unwrap();
        let pairs = sign(&seal, NOW);
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&seal, &pairs, &body, NOW), Err(SignatureError::Mismatch));
        }
    }
}

#[test]
fn any_one_flipped_bit_of_id_timestamp_or_signature_is_refused() {
    for scheme in signed_schemes() {
        let seal = seal(&scheme, &[WHSEC]).unwrap();
        let pairs = sign(&seal, NOW);
        for (index, (name, value)) in pairs.iter().enumerate() {
            for bit in 0..value.len() * 8 {
                let mut flipped = value.clone().into_bytes();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if is_same_hex(&scheme, value, &flipped) {
                    continue;
                }
                let mut raw = headers(&pairs);
                raw[index].1 = &flipped;
                let refused = seal.verify(Proof::new(&raw, BODY), NOW);
                assert!(refused.is_err(), "{scheme:?} {name}: {value} bit {bit}");
            }
        }
    }
}

/// A hex digit of the other case is no other signature.
fn is_same_hex(scheme: &Scheme, value: &str, flipped: &[u8]) -> bool {
    let is_hex = match scheme {
        Scheme::StandardWebhooks => false,
        Scheme::Hmac(scheme) => scheme.encoding == Encoding::Hex,
        _ => true,
    };
    let digits = value.rfind('=').map_or(value.len(), |at| at + 1);
    is_hex
        && value.as_bytes()[..digits] == flipped[..digits]
        && value.as_bytes().eq_ignore_ascii_case(flipped)
}

proptest! {
    #[test]
    fn what_is_signed_verifies(
        scheme in proptest::sample::select(signed_schemes()),
        id in "[A-Za-z0-9_=+/-]{1,256}",
        body in proptest::collection::vec(any::<u8>(), 0..300),
        seconds in 0_i64..4_000_000_000,
    ) {
        let seal = seal(&scheme, &[WHSEC]).unwrap();
        let at = Wall(seconds * 1_000_000);
        let pairs = seal.sign(&Message { id: &id, at, body: &body });
        let verified = verify(&seal, &pairs, &body, at).unwrap();
        prop_assert_eq!(verified.secret, Some(0));
        prop_assert!(verified.replay.is_some());
    }

    #[test]
    fn whatever_the_headers_hold_nothing_panics_or_passes(
        scheme in proptest::sample::select(signed_schemes()),
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 3),
        text in "(t=[0-9]{1,12},?|v1[,=][0-9a-f]{0,70}[, ]?|[!-~]{0,9}){0,6}",
    ) {
        let seal = seal(&scheme, &[WHSEC]).unwrap();
        let pairs = sign(&seal, NOW);
        let names = || pairs.iter().map(|(name, _)| name.as_str());
        let raw: Vec<(&str, &[u8])> =
            names().zip(&values).map(|(name, value)| (name, value.as_slice())).collect();
        prop_assert!(seal.verify(Proof::new(&raw, BODY), NOW).is_err());
        let texts: Vec<(&str, &[u8])> = names().map(|name| (name, text.as_bytes())).collect();
        prop_assert!(seal.verify(Proof::new(&texts, BODY), NOW).is_err());
    }
}
