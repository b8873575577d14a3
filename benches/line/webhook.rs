//! Alerts acknowledged in a second over 32 connections, beside a handler that keeps nothing.

use std::net::SocketAddr;
use std::time::Instant;

use super::alerts::{self, ACTS};
use super::site::{Plan, Site};
use super::table::{self, Rounds, Target};
use super::wire::{self, Wire};
use super::{Scale, naive, runtime};

const CONNECTIONS: usize = 32;
const ALERTS: usize = 20_000;
const EVIDENCE: usize = 3;

pub fn run(scale: Scale) {
    let runtime = runtime();
    let (naive, site, app) = runtime.block_on(async {
        let sink = naive::sink().await;
        let naive = naive::serve(sink).await;
        let plan = Plan { rules: 100, defender: format!("http://{sink}"), kafka: None };
        let site = Site::new(&plan);
        site.pause().await;
        let app = site.start().await;
        (naive, site, app)
    });
    let (mut plain, mut durable) = (Rounds::default(), Rounds::default());
    let alerts = ALERTS / scale.divisor;
    let mut bytes = 0;
    for round in 0..=scale.pairs {
        let requests = requests(round * alerts, alerts);
        bytes = requests[0].len();
        let naive = load(naive, &requests, round);
        let lazaret = load(site.webhooks, &requests, round);
        // The first round warms up.
        if round > 0 {
            plain.push(naive);
            durable.push(lazaret);
        }
    }
    runtime.block_on(app.stop());
    let size = format!("{bytes} bytes a request, each alert acts on a file of its own");
    table::heading(
        "3. Webhook alerts acknowledged over 32 connections",
        &[
            &size,
            "Lazaret: acknowledged when durable; its relay paused, so that intake alone works",
            "naive: axum::serve, HMAC, parse to Value, reqwest call to a sink, nothing kept",
        ],
    );
    table::columns("alerts/s", "× naive");
    table::row("naive handler", &plain, &plain, Target::None);
    table::row("Lazaret", &durable, &plain, Target::AtLeast(0.6));
}

fn requests(first: usize, count: usize) -> Vec<Vec<u8>> {
    let (seal, created) = (wire::seal(), alerts::now());
    let request = |n: usize| {
        let body = alerts::alert(n + 1, EVIDENCE, ACTS, created);
        wire::request(&seal, &format!("msg_{n}"), &body)
    };
    (first..first + count).map(request).collect()
}

/// Sends all requests, spread over the connections, and gives back how many were acknowledged in a
/// second.
fn load(to: SocketAddr, requests: &[Vec<u8>], round: usize) -> f64 {
    let mut wires: Vec<Wire> =
        (0..CONNECTIONS).map(|_| Wire::connect(to).expect("it listens")).collect();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (at, wire) in wires.iter_mut().enumerate() {
            scope.spawn(move || {
                for request in requests.iter().skip(at).step_by(CONNECTIONS) {
                    let (status, _) = wire.ask(request).expect("an answer");
                    assert_eq!(status, 202, "round {round}");
                }
            });
        }
    });
    requests.len() as f64 / began.elapsed().as_secs_f64()
}
