//! One key of an alert that is odd.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_with_nothing_odd_acts() {
    let mut service = Service::start().await;
    service.expect(|_| {}, "acted", "").await;
    service.expect(|it| it.tenant.clear(), "unknown_tenant", "speaks for several").await;
    service.until_called(FORMATS.len()).await;
    assert_eq!(service.called().len(), FORMATS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_is_not_there_is_incomplete() {
    let mut service = Service::start().await;
    for none in ["", "null", r#""""#, r#"" ""#, r#""null""#] {
        service.expect(|it| it.sha1 = none.into(), "incomplete", "sha1 is missing").await;
    }
    assert_eq!(service.called(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_is_none_is_incomplete_and_says_what_it_is() {
    let mut service = Service::start().await;
    let digits = |n: usize| format!("\"{}\"", "a1".repeat(n / 2));
    let zeros = format!("\"{}\"", "0".repeat(40));
    let empty = r#""DA39A3EE5E6B4B0D3255BFEF95601890AFD80709""#.to_owned();
    for (hash, why) in [
        (zeros, "is all zeros"),
        (empty, "is the hash of an empty file"),
        (digits(64), "is a SHA-256 where a SHA-1 belongs"),
        (digits(32), "is an MD5 where a SHA-1 belongs"),
        (digits(38), "is not 40 hex digits"),
        (format!("\"{}\"", "g".repeat(40)), "is not 40 hex digits"),
        (format!("\"{}\"", "\u{661}".repeat(20)), "is not 40 hex digits"),
        (format!("\"sha1:{}\"", "a1".repeat(20)), "is not 40 hex digits"),
        (format!("\"SHA1={}\"", "a1".repeat(20)), "is not 40 hex digits"),
        (format!("\"SHA1={},MD5={}\"", "a1".repeat(20), "b2".repeat(16)), "40 hex digits"),
    ] {
        service.expect(|it| it.sha1 = hash.clone(), "incomplete", why).await;
    }
    for format in &FORMATS[..3] {
        let spoil = |it: &mut Parts| it.sha1 = r#""REDACTED""#.into();
        service.expect_in(format, spoil, "incomplete", "is not 40 hex digits").await;
    }
    let spoil = |it: &mut Parts| it.sha1 = r#""REDACTED""#.into();
    service.expect_in("generic", spoil, "incomplete", "sha1 is missing").await;
    assert_eq!(service.called(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_is_no_text_is_incomplete() {
    let mut service = Service::start().await;
    let hash = "a1".repeat(20);
    for odd in [format!("[\"{hash}\"]"), format!("{{\"sha1\":\"{hash}\"}}"), "true".to_owned()] {
        service.expect(|it| it.sha1 = odd.clone(), "incomplete", "sha1 is ").await;
    }
    // Digits only, as some hashes are: a number of them is not exact.
    for number in ["1234567890123456789012345678901234567890", "1e39", "7"] {
        service.expect(|it| it.sha1 = number.into(), "incomplete", "sha1 is ").await;
        service.expect(|it| it.machine = number.into(), "incomplete", "").await;
    }
    assert_eq!(service.called(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_and_ids_in_upper_case_act_like_others() {
    let mut service = Service::start().await;
    let upper = |text: &mut String| *text = text.replace("00", "A0").to_uppercase();
    let spoil = |it: &mut Parts| {
        upper(&mut it.machine);
        upper(&mut it.sha1);
        it.tenant = it.tenant.to_uppercase();
    };
    service.expect(spoil, "acted", "").await;
    service.until_called(FORMATS.len()).await;
    let called = service.called();
    assert_eq!(called.len(), FORMATS.len());
    assert!(called.iter().all(|id| *id == id.to_lowercase() && id.len() == 40), "{called:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_not_defenders_id_is_incomplete_and_says_what_it_is() {
    let mut service = Service::start().await;
    for (machine, why) in [
        (r#""7d1f0b2c-5f0a-4f57-9a51-c2b1f2f1a0de""#, "is a GUID"),
        (r#""7e7a44995a4d4f09be53dce4fe9eb1db""#, "is 32 hex digits"),
        (r#""ws1.contoso.example""#, "is a name"),
        (r#""0000000000000000000000000000000000000000""#, "is all zeros"),
        (r#""../0000000000000000000000000000000000001""#, "is a name"),
        ("null", ""),
        (r#""""#, ""),
        ("[]", ""),
        ("", ""),
    ] {
        service.expect(|it| it.machine = machine.into(), "incomplete", why).await;
    }
    assert_eq!(service.called(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_letters_digits_and_a_few_marks_act() {
    let mut service = Service::start().await;
    for id in [r#""caD70CFEE2-1F54-32DB_x.y:z""#, "7", "-7", "18446744073709551615"] {
        let said = id.trim_matches('"').to_owned();
        service.expect(|it| it.id = id.into(), "acted", &said).await;
    }
    let longest = "a".repeat(128);
    service.expect(|it| it.id = format!("\"{longest}\""), "acted", &longest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_without_a_usable_id_is_unreadable() {
    let mut service = Service::start().await;
    for id in [
        "",
        "null",
        r#""""#,
        r#"" ""#,
        r#""null""#,
        "[]",
        "{}",
        "true",
        "1.5",
        "12345678901234567890123",
        r#""a\nb""#,
        r#""a\u0000b""#,
        r#""a\u001b[31mb""#,
        r#""a b""#,
        r#""a/../b""#,
        r#""\u00e4""#,
    ] {
        service.expect(|it| it.id = id.into(), "unreadable", "").await;
    }
    for length in [129, 4000] {
        let long = format!("\"{}\"", "a".repeat(length));
        service.expect(|it| it.id = long.clone(), "unreadable", "longer than 128 bytes").await;
    }
    assert_eq!(service.called(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_the_wrong_type_or_an_unknown_word_is_an_absent_field() {
    let mut service = Service::start().await;
    // The rule spares what is Low, and holds what it can't tell.
    service.expect(|it| it.severity = "\"low\"".into(), "no_match", "no rule matches").await;
    for odd in ["null", "{}", "[]", "[\"High\"]", "true", "3", "\"\"", "\"7\""] {
        service.expect(|it| it.severity = odd.into(), "held", "alert.severity").await;
    }
    let spoil = |it: &mut Parts| it.severity = "\"Galactic\"".into();
    for format in &FORMATS[1..] {
        service.expect_in(format, spoil, "held", "alert.severity").await;
    }
    // Its reference lists more words than ours: kept, as it is none of those that are spared.
    service.expect_in(FORMATS[0], spoil, "acted", "").await;
    for odd in ["\"Spaceship\"", "{}", "7"] {
        service.expect(|it| it.entity = odd.into(), "no_match", "").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_with_seven_digits_or_without_a_zone_are_read() {
    let mut service = Service::start().await;
    let now = now().to_string();
    let seven = now.replace('Z', "1234Z");
    let bare = now.trim_end_matches('Z').to_owned();
    for time in [seven.clone(), bare, seven.replace('Z', "")] {
        service.expect(|it| it.created = format!("\"{time}\""), "acted", "").await;
    }
    for none in ["", "null", "\"\"", "\"yesterday\"", "[]", "1764410000"] {
        service.expect(|it| it.created = none.into(), "incomplete", "creation time").await;
    }
    let ahead = "\"2999-01-01T00:00:00Z\"";
    service.expect(|it| it.created = ahead.into(), "incomplete", "in the future").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_alert_is_too_old() {
    let mut service = Service::start().await;
    let old = "\"2021-01-26T20:33:57.7220239Z\"";
    service.expect(|it| it.created = old.into(), "too_old", "the limit is").await;
    assert_eq!(service.called(), [""; 0]);
}
