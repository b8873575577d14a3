//! A body that is odd as a whole.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_list_where_one_object_stands_is_the_same() {
    let mut service = Service::start().await;
    for format in FORMATS {
        let one = Parts::new(service.sent + 1).in_format(format);
        // The list of its files, which is the only one of an alert here with an object inside.
        let one = one.replacen(":[{", ":{", 1);
        let end = one.rfind("}]").unwrap();
        let one = format!("{}{}", &one[..=end], &one[end + 2..]);
        let (fate, said) = service.fate(format, &one).await;
        // In a path, `[*]` of an object is each of its values: pairs without a machine.
        let wanted = if format == "generic" { "incomplete" } else { "acted" };
        assert_eq!(fate, wanted, "{one}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_read_over() {
    let mut service = Service::start().await;
    for format in FORMATS {
        let one = Parts::new(service.sent + 1).in_format(format);
        assert_eq!(service.fate(format, &format!("\u{feff}{one}")).await.0, "acted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_in_a_text_is_no_alert_but_where_an_envelope_says_so() {
    let mut service = Service::start().await;
    for format in FORMATS {
        let one = Parts::new(service.sent + 1).in_format(format);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(service.fate(format, &text).await.0, "unreadable");
        let event =
            format!(r#"{{"specversion":"1.0","id":"e","source":"/s","type":"t","data":{text}}}"#);
        assert_eq!(service.fate(format, &event).await.0, "acted");
        // Files in a text are none. Where files have to be, that is told.
        let start = one.find("[{").unwrap();
        let end = one.rfind("}]").unwrap() + 2;
        let files = serde_json::to_string(&one[start..end]).unwrap();
        let (fate, said) =
            service.fate(format, &format!("{}{files}{}", &one[..start], &one[end..])).await;
        let wanted = if format == "generic" { "no_match" } else { "unreadable" };
        assert_eq!(fate, wanted, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_records_are_no_alerts() {
    let mut service = Service::start().await;
    for format in FORMATS {
        for body in [r#"{"records":[]}"#, r#"{"value":[]}"#, "[]"] {
            assert_eq!(service.post(format, body).await, (202, vec![]), "{format} {body}");
        }
    }
    assert!(service.world.report().await.summary.received.iter().all(|(_, count)| *count == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_may_be_of_several_tenants() {
    let mut service = Service::start().await;
    for format in FORMATS {
        let [one, mut two, mut three] = [1, 2, 3].map(|n| Parts::new(service.sent * 3 + n));
        two.tenant = format!("\"{}\"", crate::world::tenant_id(1));
        three.tenant = "\"99999999-2222-3333-4444-555555555555\"".into();
        let all = [one, two, three].map(|one| one.in_format(format)).join(",");
        let (_, fates) = service.post(format, &format!(r#"{{"records":[{all}]}}"#)).await;
        let fates: Vec<_> = fates.iter().map(|(fate, _)| fate.as_str()).collect();
        assert_eq!(fates, ["acted", "acted", "unknown_tenant"], "{format}");
    }
    for odd in ["{}", "[]", "7", "true"] {
        service.expect(|it| it.tenant = odd.into(), "unknown_tenant", "").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_is_published_again_is_a_duplicate_whatever_its_state() {
    let mut service = Service::start().await;
    for (so_far, format) in FORMATS.into_iter().enumerate() {
        let one = Parts::new(service.sent + 1);
        assert_eq!(service.fate(format, &one.in_format(format)).await.0, "acted");
        service.world.until("the call", async |world| world.calls().len() > so_far).await;
        let mut again = one.clone();
        again.severity = "\"Medium\"".into();
        again.id = "\"da_again\"".into();
        assert_eq!(service.fate(format, &again.in_format(format)).await.0, "duplicate");
    }
    service.until_called(FORMATS.len()).await;
    assert_eq!(service.called().len(), FORMATS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_character_is_unreadable_and_what_is_no_utf_8_is_refused_whole() {
    let mut service = Service::start().await;
    for format in FORMATS {
        let one = Parts::new(1).in_format(format).replace("da1", "da\\ud800");
        assert_eq!(service.fate(format, &one).await.0, "unreadable");
    }
    let refused = lazaret::formats::split(b"{\"id\":\"\xff\"}").unwrap_err();
    assert!(refused.to_string().contains("not UTF-8"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nests_deep_stops_neither_the_alert_nor_the_service() {
    let mut service = Service::start().await;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for format in FORMATS {
        let one = Parts::new(service.sent + 1).in_format(format);
        let beside = one.replacen('{', &format!("{{\"more\":{deep},"), 1);
        let wanted = if format == "generic" { "unreadable" } else { "acted" };
        assert_eq!(
            service.fate(format, &beside).await.0,
            wanted,
            "{format}: a key that is not read"
        );
        service.expect_in(format, |it| it.id = deep.clone(), "unreadable", "").await;
        let parts = |it: &mut Parts| it.sha1 = deep.clone();
        let wanted = if format == "generic" { "unreadable" } else { "incomplete" };
        service.expect_in(format, parts, wanted, "").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_lists_are_bounded() {
    let mut service = Service::start().await;
    for format in FORMATS {
        let one = Parts::new(service.sent + 1).in_format(format);
        let many = format!("[{{{}", "},{".repeat(120_000));
        let (fate, said) = service.fate(format, &one.replacen("[{", &many, 1)).await;
        assert_eq!(fate, "unreadable", "{format}");
        assert!(said.len() < 1000, "{said}");
    }
}
