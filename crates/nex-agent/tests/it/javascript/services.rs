//! Host services as scripts call them, against what a Go agent puts on the bus
//! (`host_services.json`) and what we do better.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use nex_agent::provider::function::{HostCall, HostError, HostReply};
use nex_protocol::agent::CallFailure;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Script, Services, limits, prepare_with};

/// Runs what it is sent and answers `{value}` or `{thrown}`; bytes as `{bytes: […]}`.
const RUNS: &str = "(s, p) => { try { const value = (0, eval)(new TextDecoder().decode(p)); \
    return JSON.stringify({value: value === undefined ? 'undefined' : value}, (key, value) => \
        value instanceof Uint8Array ? {bytes: [...value]} : value) } \
    catch (error) { return JSON.stringify({thrown: error.message, kind: error.name}) } }";

/// A script with services that answer the same every time, and the calls they got.
async fn with_answer(
    parts: Result<&'static [&'static [u8]], &str>,
) -> (Script, Arc<Mutex<Vec<HostCall>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let heard = calls.clone();
    let parts = parts.map_err(str::to_owned);
    let services: Box<Services> = Box::new(move |call| {
        heard.lock().unwrap().push(call);
        let answer = parts.clone();
        Box::pin(async move {
            let parts = answer.map_err(HostError)?;
            Ok(HostReply { parts: parts.iter().map(|part| Bytes::from_static(part)).collect() })
        })
    });
    (prepare_with(RUNS, limits(), &[], services).await.unwrap(), calls)
}

async fn run(script: &Script, code: &str) -> Value {
    let text: Value = serde_json::from_str(&script.text(code).await).unwrap();
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn calls_are_those_of_the_protocol() {
    let vectors: Value = serde_json::from_str(include_str!(
        "../../../../nex-protocol/tests/vectors/host_services.json"
    ))
    .unwrap();
    let (script, calls) = with_answer(Ok(&[b"{\"success\":true}"])).await;
    let mut checked = 0;
    for case in vectors["calls"].as_array().unwrap() {
        let Some(frame) = case["frames"].get(0) else { continue };
        let method = case["javascript"].as_str().unwrap();
        let arguments: Vec<String> = case["arguments"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|argument| match argument.get("bytes") {
                Some(bytes) => format!("new Uint8Array({bytes})"),
                None => argument.to_string(),
            })
            .collect();
        run(&script, &format!("hostServices.{method}({})", arguments.join(", "))).await;
        let call = calls.lock().unwrap().pop().unwrap_or_else(|| panic!("no call for {case}"));
        let subject = frame["subject"].as_str().unwrap();
        assert!(subject.ends_with(&format!(".{}.{}", call.service, call.method)), "{subject}");
        let headers: String =
            call.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let block = frame["header_block"].as_str().unwrap_or("NATS/1.0\r\n\r\n");
        assert_eq!(format!("NATS/1.0\r\n{headers}\r\n"), block, "{case}");
        let payload = frame["payload"].as_str().unwrap();
        let go_bytes: Vec<u8> =
            payload.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        assert_eq!(&call.body[..], &go_bytes[..], "{case}");
        checked += 1;
    }
    assert!(checked > 30, "{checked}");
}

#[tokio::test]
async fn bytes_stay_bytes_in_both_directions() {
    static ALL: [u8; 256] = {
        let mut all = [0; 256];
        let mut at = 0;
        while at < 256 {
            all[at] = at as u8;
            at += 1;
        }
        all
    };
    static PARTS: [&[u8]; 1] = [&ALL];
    let (script, calls) = with_answer(Ok(&PARTS)).await;
    let all = json!({"value": {"bytes": ALL.to_vec()}});
    for code in [
        "hostServices.kv.get('k')",
        "hostServices.objectStore.get('o')",
        "hostServices.messaging.request('s', new Uint8Array(256).map((_, i) => i))",
    ] {
        assert_eq!(run(&script, code).await, all, "{code}");
    }
    assert_eq!(calls.lock().unwrap()[2].body[..], ALL);
    let many = run(&script, "hostServices.messaging.requestMany('s', new Uint8Array(0))").await;
    assert_eq!(many, json!({"value": [{"bytes": ALL.to_vec()}]}));
    let code = "hostServices.kv.set('k', new Uint8Array([9, 255, 0, 128]).subarray(1))";
    assert_eq!(run(&script, code).await, json!({"value": "undefined"}));
    assert_eq!(calls.lock().unwrap().last().unwrap().body[..], [255, 0, 128]);
}

#[tokio::test]
async fn answers_are_what_scripts_of_the_go_agent_see() {
    let (script, _) = with_answer(Ok(&[b"{\"revision\":7,\"success\":true}"])).await;
    for code in [
        "hostServices.kv.set('k', new Uint8Array(1))",
        "hostServices.kv.delete('k')",
        "hostServices.objectStore.delete('o')",
        "hostServices.messaging.publish('s', new Uint8Array(1))",
    ] {
        assert_eq!(run(&script, code).await, json!({"value": "undefined"}), "{code}");
    }
    let (script, _) = with_answer(Ok(&[br#"["k1","bin"]"#])).await;
    assert_eq!(run(&script, "hostServices.kv.keys()").await, json!({"value": ["k1", "bin"]}));
    let (script, _) = with_answer(Ok(&[b"[]"])).await;
    assert_eq!(run(&script, "hostServices.kv.keys()").await, json!({"value": []}));
    assert_eq!(run(&script, "hostServices.objectStore.list()").await, json!({"value": []}));
    let (script, _) = with_answer(Ok(&[br#"{"name":"o","size":2}"#])).await;
    let put = run(&script, "hostServices.objectStore.put('o', new Uint8Array(2))").await;
    assert_eq!(put, json!({"value": {"name": "o", "size": 2}}));
    let (script, _) = with_answer(Ok(&[])).await;
    let many = run(&script, "hostServices.messaging.requestMany('s', new Uint8Array(0))").await;
    assert_eq!(many, json!({"value": []}));
}

#[tokio::test]
async fn responses_have_a_text_and_bytes() {
    let (script, calls) = with_answer(Ok(&[
        br#"{"status":404,"headers":{"X-Two":["a","b"],"Content-Type":["text/plain"]},"body":"h\u00fc"}"#,
    ]))
    .await;
    let expected = json!({"value": {
        "status": 404, "headers": {"X-Two": "a, b", "Content-Type": "text/plain"}, "response": "hü",
    }});
    for code in [
        "get('http://h//a?b=1&c=a%20b')",
        "delete('http://h')",
        "post('http://h', new Uint8Array(2))",
        "put('http://h')",
        "patch('http://h', new Uint8Array(0))",
    ] {
        assert_eq!(run(&script, &format!("hostServices.http.{code}")).await, expected, "{code}");
    }
    let url = calls.lock().unwrap()[0].headers.get("x-http-url").unwrap().to_owned();
    assert_eq!(url, "http://h//a?b=1&c=a%20b");
    let head = run(&script, "hostServices.http.head('http://h')").await;
    assert_eq!(head["value"].as_object().unwrap().len(), 2);
    let body = run(&script, "hostServices.http.get('http://h').body").await;
    assert_eq!(body, json!({"value": {"bytes": "hü".as_bytes()}}));
    let (script, _) =
        with_answer(Ok(&[br#"{"status":200,"headers":{},"body":"","body_base64":"AP+A"}"#])).await;
    let body = run(&script, "hostServices.http.get('http://h').body").await;
    assert_eq!(body, json!({"value": {"bytes": [0, 255, 128]}}));
    let text = run(&script, "hostServices.http.get('http://h').response").await;
    assert_eq!(text, json!({"value": "\0\u{fffd}\u{fffd}"}));
}

#[tokio::test]
async fn errors_are_exceptions_with_their_text() {
    let (script, _) = with_answer(Err("nats: kéy \"x\" not found")).await;
    for code in [
        "kv.get('k')",
        "kv.set('k', new Uint8Array(1))",
        "kv.delete('k')",
        "kv.keys()",
        "objectStore.get('o')",
        "objectStore.put('o', new Uint8Array(1))",
        "objectStore.delete('o')",
        "objectStore.list()",
        "messaging.publish('s', new Uint8Array(1))",
        "messaging.request('s', new Uint8Array(1))",
        "messaging.requestMany('s', new Uint8Array(1))",
        "http.get('http://h')",
        "http.head('http://h')",
        "http.delete('http://h')",
        "http.post('http://h', new Uint8Array(1))",
        "http.put('http://h', new Uint8Array(1))",
        "http.patch('http://h', new Uint8Array(1))",
    ] {
        let expected = json!({"thrown": "nats: kéy \"x\" not found", "kind": "Error"});
        assert_eq!(run(&script, &format!("hostServices.{code}")).await, expected, "{code}");
    }
    let stack =
        run(&script, "try { hostServices.kv.get('k') } catch (error) { error.stack }").await;
    assert!(stack["value"].as_str().unwrap().contains("at "), "{stack}");
}

#[tokio::test]
async fn wrong_arguments_are_exceptions_and_call_nobody() {
    let (script, calls) = with_answer(Ok(&[b"x"])).await;
    for (code, thrown) in [
        ("kv.get()", "kv.get: the key is missing"),
        ("kv.set('k', 'text')", "kv.set: the value must be a Uint8Array, not string"),
        ("kv.set('k')", "kv.set: the value must be a Uint8Array, not undefined"),
        ("kv.set('k', [1])", "kv.set: the value must be a Uint8Array, not Array"),
        ("objectStore.put('o', null)", "objectStore.put: the value must be a Uint8Array, not null"),
        ("messaging.publish(null, new Uint8Array(1))", "messaging.publish: the subject is missing"),
        (
            "messaging.request('s', {})",
            "messaging.request: the body must be a Uint8Array, not Object",
        ),
        ("http.get()", "http.get: the URL is missing"),
        ("http.post('http://h', 'text')", "http.post: the body must be a Uint8Array, not string"),
        (
            "messaging.publish('a\\r\\nb', new Uint8Array(1))",
            "messaging.publish: the name cannot be sent: it is not one line",
        ),
        (
            "messaging.publish(' a', new Uint8Array(1))",
            "messaging.publish: white space at an end of the name",
        ),
        ("kv.get('k'.repeat(10000))", "kv.get: more than 8192 bytes of text"),
        ("kv.set('k', new Uint8Array(9 << 20))", "kv.set: a body of more than 8388608 bytes"),
    ] {
        let answer = run(&script, &format!("hostServices.{code}")).await;
        assert_eq!(answer["thrown"], thrown, "{code}");
    }
    assert_eq!(calls.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_an_exception() {
    let (script, _) = with_answer(Ok(&[b"no json"])).await;
    assert_eq!(run(&script, "hostServices.kv.keys()").await["kind"], "SyntaxError");
    static NONE: [&[u8]; 0] = [];
    static TWO: [&[u8]; 2] = [b"1", b"2"];
    for parts in [&NONE[..], &TWO] {
        let (script, _) = with_answer(Ok(parts)).await;
        let answer = run(&script, "hostServices.kv.get('k')").await;
        assert_eq!(answer["thrown"], "the host service gave no answer");
    }
}

#[tokio::test]
async fn a_host_call_does_not_hold_up_another_call() {
    let go_on = Arc::new(Notify::new());
    let waiting = Arc::new(Notify::new());
    let (signal, at_it) = (go_on.clone(), waiting.clone());
    let services: Box<Services> = Box::new(move |call| {
        let (signal, at_it) = (signal.clone(), at_it.clone());
        Box::pin(async move {
            if call.headers.get("x-keyvalue-key") == Some("slow") {
                at_it.notify_one();
                signal.notified().await;
            }
            Ok(HostReply { parts: vec![Bytes::from_static(b"v")] })
        })
    });
    let script = prepare_with(
        "let n = 0; (s, p) => { n++; return [hostServices.kv.get(new TextDecoder().decode(p)).length, n] }",
        limits(),
        &[],
        services,
    )
    .await
    .unwrap();
    let script = Arc::new(script);
    let slow = script.clone();
    let slow = tokio::spawn(async move { slow.text("slow").await });
    waiting.notified().await;
    for _ in 0..10 {
        assert_eq!(script.text("fast").await, "[1,1]");
    }
    assert!(!slow.is_finished());
    go_on.notify_one();
    assert_eq!(slow.await.unwrap(), "[1,1]");
}

#[tokio::test]
async fn the_time_of_host_calls_counts() {
    let services: Box<Services> = Box::new(|_| Box::pin(std::future::pending()));
    let script = "(s, p) => p.length ? hostServices.kv.get('k') : 'well'";
    let mut script = prepare_with(script, limits(), &[], services).await.unwrap();
    script.timeout = Duration::from_millis(100);
    let error = script.call(b"wait").await.unwrap_err();
    assert_eq!(error.failure, CallFailure::Timeout);
    script.timeout = limits().call_timeout;
    assert_eq!(script.text("").await, r#""well""#);
}

#[tokio::test]
async fn services_are_there_when_the_script_is_evaluated() {
    let services: Box<Services> = Box::new(|_| {
        Box::pin(async { Ok(HostReply { parts: vec![Bytes::from_static(b"setting")] }) })
    });
    let script = "const setting = hostServices.kv.get('k'); () => setting";
    let script = prepare_with(script, limits(), &[], services).await.unwrap();
    assert_eq!(script.text("").await, "setting");
}
