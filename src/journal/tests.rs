use super::record::put_entry;
use super::*;
use crate::engine::{Input, Why};
use crate::model::wire::Reader;
use crate::model::{
    Actor, Channel, Contact, EventHash, Instrument, ItemType, Micro, Name, Outcome, Position, Rating, Scored, Signal,
    SignalSource, Timestamp,
};
use prop::option::of;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Everything of a touchpoint, owned.
#[derive(Debug, Clone)]
struct Drawn {
    texts: [Option<String>; 6],
    customer_id: String,
    numbers: [i64; 5],
    hash: u64,
    source: u16,
    options: [Option<i64>; 3],
    codes: (Channel, Actor, Contact, Option<Outcome>, u32),
    rating: Option<(Instrument, i64)>,
    signals: [Option<(u8, i64)>; 2],
    context: Vec<(u8, String)>,
}

prop_compose! {
    fn drawn()(
        texts: [Option<String>; 6],
        customer_id: String,
        numbers: [i64; 5],
        hash: u64,
        source: u16,
        options: [Option<i64>; 3],
        codes in (
            select(Channel::ALL.to_vec()),
            select(vec![Actor::Customer, Actor::Agent, Actor::System]),
            select(vec![Contact::Direct, Contact::Indirect]),
            of(select(Outcome::ALL.to_vec())),
            any::<u32>(),
        ),
        rating in of((
            select(vec![Instrument::Nps, Instrument::Csat, Instrument::Ces, Instrument::Stars, Instrument::Custom]),
            any::<i64>(),
        )),
        first in of((0_u8..7, any::<i64>())),
        second in of((0_u8..7, any::<i64>())),
        context in vec((0_u8..8, any::<String>()), 0..3),
    ) -> Drawn {
        let signals = if first.is_some() { [first, second] } else { [None, None] };
        Drawn { texts, customer_id, numbers, hash, source, options, codes, rating, signals, context }
    }
}

impl Drawn {
    /// A list for each index of the drawn context, with the drawn numbers.
    fn indexed<T>(&self, of: impl Fn(i64) -> T) -> Vec<(u8, T)> {
        self.context.iter().zip(self.numbers).map(|((index, _), number)| (*index, of(number))).collect()
    }

    fn scored(&self) -> Scored<'_> {
        let [session_id, conversation_id, order_id, topic, segment, tier] = self.texts.each_ref().map(Option::as_deref);
        let [offset, occurred_at, min, max, weight] = self.numbers;
        let [due_at, wait_ms, duration_ms] = self.options;
        let (channel, actor, contact, outcome, kind) = self.codes;
        Scored {
            customer_id: &self.customer_id,
            event: EventHash(self.hash),
            // Some came through the repartition topic.
            position: Position { source: self.source, partition: if offset % 3 == 0 { 8 } else { 3 }, offset },
            occurred_at: Timestamp(occurred_at),
            channel,
            kind: Name(kind),
            actor,
            contact,
            signals: self.signals.map(|signal| {
                let (source, score) = signal?;
                let source = SignalSource::from_code(source)?;
                Some(Signal { score: Micro(score), weight: Micro(weight), source })
            }),
            rating: self.rating.map(|(instrument, value)| Rating {
                instrument,
                value: Micro(value),
                min: Micro(min),
                max: Micro(max),
            }),
            outcome,
            due_at: due_at.map(Timestamp),
            wait_ms,
            duration_ms,
            session_id,
            conversation_id,
            order_id,
            topic,
            segment,
            tier,
            item_type: ItemType::from_code(self.codes.0 as u8 % 6),
            measures: self.indexed(Micro),
            segments: self.indexed(|number| Name::of(&number.to_string())),
            dues: self.indexed(Timestamp),
            context: self.context.iter().map(|(index, value)| (*index, value.as_str())).collect(),
        }
    }
}

prop_compose! {
    fn header()(
        (epoch, seq, part, last) in any::<(u64, u64, u64, bool)>(),
        (config_hash, engine_version) in any::<(u64, u64)>(),
        (watermark, clock) in any::<(Option<i64>, Option<i64>)>(),
        counters: [u64; Counters::VALUES],
        (consecutive, window_records, window_rejected) in any::<(u64, u64, u64)>(),
        sources in vec(any::<(String, Option<i64>, Option<i64>)>(), 0..4),
    ) -> Header {
        Header {
            epoch, seq, part, last, partition: 3, config_hash, engine_version,
            watermark: watermark.map(Timestamp),
            clock: clock.map(Timestamp),
            counters: Counters::from_values(counters),
            limiter: Limiter { consecutive, window_records, window_rejected },
            sources: sources.into_iter().map(|(name, from, to)| SourceRange { name, from, to }).collect(),
        }
    }
}

fn record(header: &Header, touchpoints: &[Drawn], time: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    for touchpoint in touchpoints {
        put_entry(&mut bytes, &Input::Touchpoint(touchpoint.scored()), header.partition);
    }
    put_entry(&mut bytes, &Input::Tick(Timestamp(time)), header.partition);
    put_entry(&mut bytes, &Input::Removed("somebody", Why::Evicted), header.partition);
    bytes
}

proptest! {
    #[test]
    fn records_read_back(header in header(), touchpoints in vec(drawn(), 0..4), time: i64) {
        let bytes = record(&header, &touchpoints, time);
        let (read, entries) = Entries::of(&bytes).unwrap();
        prop_assert_eq!(read, header);
        let entries: Vec<Input<'_>> = entries.collect::<Result<_, _>>().unwrap();
        let mut expected: Vec<Input<'_>> = touchpoints.iter().map(|drawn| Input::Touchpoint(drawn.scored())).collect();
        expected.push(Input::Tick(Timestamp(time)));
        expected.push(Input::Removed("somebody", Why::Evicted));
        prop_assert_eq!(entries, expected);
    }

    #[test]
    fn cut_or_garbled_records_are_refused_or_read_and_never_panic(
        header in header(), touchpoints in vec(drawn(), 0..3), at: prop::sample::Index, byte: u8, cut: bool,
    ) {
        let mut bytes = record(&header, &touchpoints, 0);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok((_, entries)) = Entries::of(&bytes) {
            let read = entries.collect::<Vec<_>>();
            prop_assert!(read.iter().rev().skip(1).all(Result::is_ok), "nothing follows an error");
        }
    }

    #[test]
    fn any_bytes_as_image_records_never_panic(key: Vec<u8>, value: Vec<u8>) {
        let kind = key.first().copied().unwrap_or(0);
        prop_assert!(ImageKey::parse(&key).is_err() || (1..=3).contains(&kind));
        let headers = [Checkpoint::decode(&value).map(|checkpoint| checkpoint.header), Header::decode(&mut Reader::new(&value))];
        for header in headers.into_iter().flatten() {
            let mut again = Vec::new();
            header.encode(&mut again);
            prop_assert_eq!(Header::decode(&mut Reader::new(&again)), Ok(header));
        }
    }

    #[test]
    fn checkpoints_read_back(
        header in header(), before in of(header()), from_seq: u64, from_offset: Option<i64>,
    ) {
        let checkpoint = Checkpoint { from_seq, from_offset, header, before };
        let record = ImageRecord::checkpoint(&checkpoint);
        prop_assert_eq!(ImageKey::parse(&record.key), Ok(ImageKey::Checkpoint(3)));
        prop_assert_eq!(Checkpoint::decode(&record.value.unwrap()), Ok(checkpoint));
    }
}

#[test]
fn another_format_is_named() {
    assert_eq!(Entries::of(&[9, 0]).unwrap_err(), FormatError::Format(9));
    assert_eq!(Entries::of(&[]).unwrap_err(), FormatError::Damaged);
}

#[test]
fn metadata_reads_back() {
    let meta = Meta { epoch: 0xabc, seq: 7, watermark: Some(Timestamp(-5)), ..Meta::default() };
    assert_eq!(meta.metadata(), "0000000000000abc:7:-5");
    assert_eq!(Meta::parse_metadata(&meta.metadata()), Some((0xabc, 7)));
    assert_eq!(Meta::parse_metadata("leader epoch 3"), None);
}
