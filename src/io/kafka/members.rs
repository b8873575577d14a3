//! Who else is in the consumer group.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;

use super::Settings;
use super::context::Context;
use crate::limits;

/// Names the members of the group that are not this process, where there are any.
///
/// A broker that does not tell the members still tells how many partitions there are: those that
/// nobody has given to us are somebody else's. Ask only after the group has settled.
pub(super) fn foreign(
    consumer: &BaseConsumer<Context>,
    settings: &Settings,
    own_id: &str,
    assigned: usize,
) -> KafkaResult<Option<String>> {
    let listed = consumer.fetch_group_list(Some(&settings.group), limits::KAFKA_ASK);
    if let Ok(groups) = listed {
        let members: Vec<_> = groups
            .groups()
            .iter()
            .filter(|group| group.name() == settings.group)
            .flat_map(|group| group.members())
            .map(|member| (member.client_id(), member.client_host(), member.id()))
            .collect();
        if !members.is_empty() && members.iter().all(|(client, ..)| !client.is_empty()) {
            return Ok(others(&members, own_id));
        }
    }
    let mut partitions = 0;
    for topic in &settings.topics {
        let metadata = consumer.fetch_metadata(Some(topic), limits::KAFKA_ASK)?;
        partitions += metadata.topics().iter().map(|topic| topic.partitions().len()).sum::<usize>();
    }
    Ok((assigned < partitions).then(|| {
        format!(
            "another member of group {}, which has {} of {partitions} partitions",
            settings.group,
            partitions - assigned
        )
    }))
}

/// `members` are client id, host and member id.
fn others(members: &[(&str, &str, &str)], own_id: &str) -> Option<String> {
    let names: Vec<_> = members
        .iter()
        .filter(|(client, ..)| *client != own_id)
        .map(|(client, host, id)| format!("{client} at {host} (member {id})"))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_that_is_not_this_process_is_named() {
        let own = ("lazaret-1.siem", "/10.0.0.1", "lazaret-1.siem-9f");
        let other = ("rdkafka", "/10.0.0.2", "rdkafka-77");
        assert_eq!(others(&[own], "lazaret-1.siem"), None);
        assert_eq!(
            others(&[own, other], "lazaret-1.siem").as_deref(),
            Some("rdkafka at /10.0.0.2 (member rdkafka-77)")
        );
    }
}
