use std::sync::Arc;
use touchline::codec::RawRecord;
use touchline::config::Config;
use touchline::model::{Position, Timestamp, time::DAY_MS};
use touchline::pipeline::{ImagesDue, Partition, Plan, Staged};
use touchline::sentiment::Scorer;
use touchline::sim::{self, Faults, Load};
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn rss() -> f64 {
    let t = std::fs::read_to_string("/proc/self/status").unwrap();
    t.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB").parse::<f64>().unwrap()
        * 1024.0
}
fn cpu() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap()
}
fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let (count, customers, days) = (a[0], a[1] as u32, a[2] as i64);
    let load =
        Load { customers, count, start: Timestamp(1_765_411_200_000), span_ms: days * DAY_MS, text: false, seed: 1 };
    let mut data = Vec::new();
    for record in sim::load(load, Faults::default()) {
        data.extend(record.payload.unwrap_or_default());
        data.push(b'\n');
    }
    let lines: Vec<&[u8]> = data.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
    let config = Config::load(None, &|_| Err(String::new())).unwrap();
    let plan: Arc<Plan> = config.plan(vec![("memory".to_owned(), 0)], 0);
    let before = rss();
    let start = cpu();
    let mut p = Partition::new(Arc::clone(&plan), Arc::new(Scorer::new()), 0, 1, true);
    let (mut s, mut alerts, mut ab, mut off, mut exp, mut eb, mut jb, mut im, mut ib) =
        (Staged::default(), 0, 0, 0i64, 0, 0, 0, 0, 0);
    for (n, t) in lines.chunks(10_000).enumerate() {
        drive(&mut p, &plan, t, n, &mut s, off, a.get(3).copied().unwrap_or(0) as usize);
        off += s.journal.len() as i64;
        alerts += s.alerts.len();
        ab += s.alerts.iter().map(|k| k.value.as_ref().map_or(0, |v| v.len())).sum::<usize>();
        exp += s.experience.len();
        eb += s.experience.iter().map(|k| k.value.as_ref().map_or(0, |v| v.len())).sum::<usize>();
        jb += s.journal.iter().map(|v| v.len()).sum::<usize>();
        im += s.images.len();
        ib += s.images.iter().map(|v| v.value.as_ref().map_or(0, |v| v.len())).sum::<usize>();
    }
    let took = cpu() - start;
    let e = p.engine();
    let image: usize = (0..e.customers() as u32).map(|i| e.image(touchline::engine::Slot(i)).len()).sum();
    println!(
        "{} ns/t; {} alerts {} B, {} exp {} B, journal {} B, images {} {} B; {} customers, image mean {}, rss/customer {:.0}",
        took / count,
        alerts,
        ab,
        exp,
        eb,
        jb,
        im,
        ib,
        e.customers(),
        image / e.customers().max(1),
        (rss() - before) / e.customers() as f64
    );
}

#[inline(never)]
fn drive(p: &mut Partition, plan: &Plan, t: &[&[u8]], n: usize, s: &mut Staged, off: i64, batch: usize) {
    if batch == 0 {
        for (at, line) in t.iter().enumerate() {
            p.record(&RawRecord {
                position: Position { source: 0, partition: 0, offset: (n * 10_000 + at) as i64 },
                recorded_at: None,
                key: None,
                value: Some(line),
            });
        }
    } else {
        for (b, c) in t.chunks(batch).enumerate() {
            let raws: Vec<_> = c
                .iter()
                .enumerate()
                .map(|(at, line)| RawRecord {
                    position: Position { source: 0, partition: 0, offset: (n * 10_000 + b * batch + at) as i64 },
                    recorded_at: None,
                    key: None,
                    value: Some(*line),
                })
                .collect();
            let d: Vec<_> = raws.iter().map(|r| plan.decode(r)).collect();
            if std::env::var("WARM").is_ok() {
                for d in &d {
                    if let Ok(t) = d {
                        std::hint::black_box(p.engine().find(&t.customer_id));
                    }
                }
            }
            for (r, d) in raws.iter().zip(d) {
                p.accept(r, d);
            }
        }
    }
    p.stage(ImagesDue::Due, s);
    p.commit();
    p.journal_delivered(s.seq, off);
}
