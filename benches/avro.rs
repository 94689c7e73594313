//! What decoding a touchpoint costs: Avro by the decoder in use and by `apache-avro`, from the same bytes, beside JSON.
//!
//! `cargo bench --bench avro` or, with another number of touchpoints, `cargo bench --bench avro -- 500000`. Linux only.

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

#[expect(dead_code, reason = "this one only measures time")]
mod common;

use anyhow::Context as _;
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use common::{Cost, measured, row};
use touchline::codec::{self, Format, Input, RawRecord, avro};
use touchline::model::{Timestamp, time::DAY_MS};
use touchline::sim::{self, Faults, Load};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COUNT: u64 = 200_000;
const SCHEMA: &str = include_str!("../schemas/touchpoint.avsc");

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let count =
        numbers.next().map_or(Ok(COUNT), |number| number.parse()).context("expected a number of touchpoints")?;
    let start = Timestamp(1_765_411_200_000);
    let load = Load { customers: 50_000, count, start, span_ms: 21 * DAY_MS, text: false, seed: 1 };
    let json: Vec<Vec<u8>> = sim::load(load, Faults::default()).filter_map(|record| record.payload).collect();
    let schema = Schema::parse_str(SCHEMA)?;
    let writer = GenericDatumWriter::builder(&schema).build()?;
    let mut records = Vec::new();
    for payload in &json {
        let document: serde_json::Value = serde_json::from_slice(payload)?;
        let datum = writer.write_value_to_vec(Value::try_from(document)?.resolve(&schema)?)?;
        records.push([&[0, 0, 0, 0, 1], datum.as_slice()].concat());
    }
    common::machine();
    let bytes = |records: &[Vec<u8>]| records.iter().map(Vec::len).sum::<usize>() / records.len().max(1);
    println!("{count} touchpoints without text; {} bytes each as JSON, {} as Avro\n", bytes(&json), bytes(&records));

    let decoded = |input: &Input, schema: Option<&avro::Lookup>, records: &[Vec<u8>]| {
        let raw = |value| RawRecord { value: Some(value), schema, ..RawRecord::default() };
        records.iter().filter(|record| codec::decode(input, &raw(record)).is_ok()).count()
    };
    let (found, cost) = measured(|| decoded(&Input::default(), None, &json))?;
    show("JSON", count, found, cost);
    let (lookup, input) =
        (avro::resolve(1, None, SCHEMA, false), Input { format: Format::Avro(None), ..Input::default() });
    let (found, cost) = measured(|| decoded(&input, Some(&lookup), &records))?;
    show("Avro by serde_avro_fast, to a touchpoint", count, found, cost);
    let reader = GenericDatumReader::builder(&schema).reader_schema(&schema).build()?;
    let datum = |record: &Vec<u8>| reader.read_value(&mut record.get(5..).unwrap_or_default());
    let (found, cost) = measured(|| records.iter().filter(|record| datum(record).is_ok()).count())?;
    show("Avro by apache-avro, to its tree only", count, found, cost);
    Ok(())
}

fn show(what: &str, count: u64, found: usize, cost: Cost) {
    let each = cost.cpu.as_nanos() / u128::from(count.max(1));
    row(what, &format!("{each} ns"), &format!("{found} decoded"));
}
