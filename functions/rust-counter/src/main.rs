//! A counter as a WebAssembly command, written from docs/function-contract.md, section 12: a call comes on standard input, the answer goes to
//! standard output.

use std::io::Read;

use serde_json::{json, Value};

fn main() {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).expect("the call");
    // Headers, an empty line, the call.
    let body = input.split_once("\n\n").map_or("", |(_, body)| body);
    let call: Value = serde_json::from_str(body).expect("a call in JSON");

    let count: i64 = call["entries"]["count"]["text"].as_str().and_then(|t| t.parse().ok()).unwrap_or(0);
    match call["method"].as_str() {
        Some("add") => {
            let payload: Value = call["payload"]["text"].as_str().and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
            let sum = count + payload["by"].as_i64().unwrap_or(1);
            if sum < 0 {
                let error = json!({"error": {"code": "CONFLICT", "message": format!("the count is {count}; it cannot go below zero")}});
                print!("Status: 409\nContent-Type: application/json\n\n{error}");
                return;
            }
            print!("{}", json!({"payload": {"json": {"count": sum}}, "set": {"count": {"text": sum.to_string()}}}));
        }
        Some("get") => print!("{}", json!({"payload": {"json": {"count": count}}})),
        other => panic!("there is no method {other:?}"),
    }
}
