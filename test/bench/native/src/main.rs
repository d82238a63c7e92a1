//! One role of a measurement, with the native implementation of Zenoh; the roles of test/bench/zenohrole.go do the same. Arguments are the
//! role and then name=value. A role says "ready", runs, says its figures in one line, and ends when its standard input does.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{mpsc, Arc};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use zenoh::{qos::CongestionControl, Config, Session, Wait};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

struct Role(HashMap<String, String>);

impl Role {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    fn open(&self) -> Session {
        let mut c = Config::default();
        let list = |e: &str| if e.is_empty() { "[]".to_string() } else { format!("[{e:?}]") };
        for (key, value) in [
            ("mode", format!("{:?}", self.text("mode"))),
            ("connect/endpoints", list(self.text("connect"))),
            ("listen/endpoints", list(self.text("listen"))),
            ("scouting/multicast/enabled", "false".into()),
            ("transport/unicast/max_sessions", "10000".into()),
        ] {
            c.insert_json5(key, &value).expect(key);
        }
        zenoh::open(c).wait().expect("open")
    }

    fn length(&self) -> Duration {
        Duration::from_millis(self.number("ms"))
    }
}

fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let role = Role(args.filter_map(|a| a.split_once('=').map(|(k, v)| (k.into(), v.into()))).collect());
    let sessions: Vec<Session> = (0..role.number("sessions").max(1)).map(|_| role.open()).collect();
    match name.as_str() {
        "router" | "idle" => println!("ready"),
        "pub" => publish(&role, &sessions[0])?,
        "sub" => subscribe(&role, &sessions)?,
        "ping" => ping(&role, &sessions[0])?,
        "pong" => pong(&sessions[0])?,
        "answer" => answer(&sessions[0])?,
        "ask" => ask(&role, &sessions[0])?,
        _ => return Err(format!("no role {name:?}").into()),
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::process::exit(0)
}

fn publish(role: &Role, session: &Session) -> Outcome {
    let publisher = session.declare_publisher("bench/data").congestion_control(CongestionControl::Block).wait()?;
    let payload: zenoh::bytes::ZBytes = vec![0u8; role.number("size") as usize].into();
    println!("ready");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0)
    });
    loop {
        publisher.put(payload.clone()).wait()?;
    }
}

/// Counts what comes to all sessions, from a while after the first message on.
fn subscribe(role: &Role, sessions: &[Session]) -> Outcome {
    let count = Arc::new(AtomicU64::new(0));
    for session in sessions {
        let count = count.clone();
        session.declare_subscriber("bench/data").callback(move |_| { count.fetch_add(1, Ordering::Relaxed); }).background().wait()?;
    }
    println!("ready");
    while count.load(Ordering::Relaxed) == 0 {
        sleep(Duration::from_millis(1));
    }
    sleep(Duration::from_millis(300));
    let (begun, before) = (Instant::now(), count.load(Ordering::Relaxed));
    sleep(role.length());
    let n = count.load(Ordering::Relaxed) - before;
    println!("{}", n as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}

fn pong(session: &Session) -> Outcome {
    let publisher = session.declare_publisher("bench/pong").congestion_control(CongestionControl::Block).express(true).wait()?;
    session.declare_subscriber("bench/ping").callback(move |s| { let _ = publisher.put(s.payload().clone()).wait(); }).background().wait()?;
    println!("ready");
    Ok(())
}

fn ping(role: &Role, session: &Session) -> Outcome {
    let publisher = session.declare_publisher("bench/ping").congestion_control(CongestionControl::Block).express(true).wait()?;
    let (heard, hear) = mpsc::channel();
    session.declare_subscriber("bench/pong").callback(move |_| { let _ = heard.send(()); }).background().wait()?;
    println!("ready");
    let payload: zenoh::bytes::ZBytes = vec![0u8; role.number("size") as usize].into();
    let mut times = Vec::new();
    publisher.put(payload.clone()).wait()?;
    while hear.recv_timeout(Duration::from_millis(50)).is_err() { // until the other side is there
        publisher.put(payload.clone()).wait()?;
    }
    let begun = Instant::now();
    while begun.elapsed() < role.length() {
        let sent = Instant::now();
        publisher.put(payload.clone()).wait()?;
        hear.recv()?;
        times.push(sent.elapsed().as_nanos() as u64);
    }
    times.sort_unstable();
    println!("{} {}", times[times.len() / 2], times[times.len() * 99 / 100]);
    Ok(())
}

fn answer(session: &Session) -> Outcome {
    session.declare_queryable("bench/ask").complete(true).callback(|q| { let _ = q.reply("bench/ask", vec![0u8; 64]).wait(); }).background().wait()?;
    println!("ready");
    Ok(())
}

fn ask(role: &Role, session: &Session) -> Outcome {
    let get = || -> bool {
        let Ok(replies) = session.get("bench/ask").wait() else { return false };
        let mut n = 0;
        while let Ok(r) = replies.recv() {
            n += r.result().is_ok() as usize;
        }
        n == 1
    };
    while !get() {
        sleep(Duration::from_millis(10));
    }
    println!("ready");
    let (count, bad, begun) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now());
    scope(|s| {
        for _ in 0..role.number("n") {
            s.spawn(|| {
                while begun.elapsed() < role.length() {
                    if !get() {
                        bad.store(true, Ordering::Relaxed);
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    if bad.load(Ordering::Relaxed) {
        return Err("a query without its one reply".into());
    }
    println!("{}", count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}
