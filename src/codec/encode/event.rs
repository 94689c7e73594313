//! Outputs as CloudEvents 1.0 in the modes of its Kafka binding: binary, with the attributes in headers and the value as
//! without them, and structured, one JSON object with everything.

use super::Message;
use crate::model::{AlertChange, ExperienceChange, Phase, Timestamp, hash64};
use serde::Serialize;
use serde_json::value::RawValue;

/// The attributes of an event, as its structured mode writes them.
#[derive(Debug, Serialize)]
pub(super) struct Event<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'static str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// Each change of an alert is an event of its own.
    pub(super) fn of_alert(source: &'a str, change: &'a AlertChange) -> Self {
        let event_type = match change.phase {
            Phase::Opened => "touchline.alert.opened",
            Phase::Updated => "touchline.alert.updated",
            Phase::Resolved => "touchline.alert.resolved",
        };
        let id = format!("{:016x}-{}", change.alert_id, change.revision);
        Self::new(source, id, event_type, &change.customer_id, change.event_time)
    }

    /// The same change is the same event: its id is a hash of what it says.
    pub(super) fn of_experience(source: &'a str, change: &'a ExperienceChange, data: &[u8]) -> Self {
        let id = format!("{:016x}", hash64(data));
        Self::new(source, id, "touchline.experience.changed", &change.customer_id, change.time)
    }

    fn new(source: &'a str, id: String, event_type: &'static str, subject: &'a str, time: Timestamp) -> Self {
        let time = jiff::Timestamp::from_millisecond(time.0).ok().map(|time| time.to_string());
        let (specversion, datacontenttype) = ("1.0", "application/json");
        Self { specversion, id, source, event_type, subject, time, datacontenttype, data: None }
    }

    /// The binary mode.
    pub(super) fn binary(self, data: &[u8]) -> Message {
        let mut headers = vec![
            ("ce_specversion", self.specversion.to_owned()),
            ("ce_id", self.id),
            ("ce_source", self.source.to_owned()),
            ("ce_type", self.event_type.to_owned()),
            ("ce_subject", self.subject.to_owned()),
            ("content-type", self.datacontenttype.to_owned()),
        ];
        headers.extend(self.time.map(|time| ("ce_time", time)));
        Message { value: data.to_vec(), headers }
    }

    /// The structured mode.
    pub(super) fn structured(self, data: &[u8]) -> Result<Message, serde_json::Error> {
        let value = serde_json::to_vec(&Event { data: Some(serde_json::from_slice(data)?), ..self })?;
        Ok(Message { value, headers: vec![("content-type", "application/cloudevents+json; charset=UTF-8".to_owned())] })
    }
}
