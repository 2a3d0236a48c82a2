//! Commands, and what they need.

use super::*;

#[test]
fn served_commands_are_typed() {
    assert_eq!(read(r#"{"command":"ping"}"#).unwrap().request, Request::Ping);
    assert_eq!(
        read(r#"{"command":"statistics"}"#).unwrap().request,
        Request::Statistics
    );
    assert_eq!(
        read(r#"{"command":"list"}"#).unwrap().request,
        Request::List(List { limit: None })
    );
    let limited = read(r#"{"command":"list","limit":"0"}"#).unwrap().request;
    assert_eq!(limited, Request::List(List { limit: Some(0) }));
    let query = read(r#"{"command":"query","call-id":"c","from tag":"f"}"#)
        .unwrap()
        .request;
    assert_eq!(
        query,
        Request::Query(Query {
            call_id: "c".into(),
            from_tag: Some("f".into()),
            to_tag: None
        })
    );
    let delete = read(
        r#"{"command":"delete","call-id":"c","from-tag":"f","to_tag":"t","via-branch":"b","delete delay":"7","flags":["fatal","to-tag"]}"#,
    );
    assert_eq!(
        delete.unwrap().request,
        Request::Delete(Delete {
            call_id: "c".into(),
            from_tag: Some("f".into()),
            to_tag: Some("t".into()),
            via_branch: Some("b".into()),
            delete_delay: Some(Duration::from_secs(7)),
            flags: [Flag::Fatal, Flag::ToTag].into(),
        })
    );
}

#[test]
fn listeners_say_whom_they_want_to_hear() {
    let subscribe = |keys: &str| {
        let json = format!(r#"{{"command":"subscribe request","call-id":"c",{keys}}}"#);
        match read(&json).unwrap() {
            Received {
                request: Request::SubscribeRequest(request),
                ignored,
            } if ignored.is_empty() => *request,
            other => panic!("{other:?}"),
        }
    };
    for (keys, tags) in [
        (r#""from-tag":"a""#, &["a"][..]),
        (r#""from-tags":["a","b"],"from-tag":"c""#, &["a", "b"]),
        (r#""flags":["from-tags-a","from-tags-b"]"#, &["a", "b"]),
        (r#""from-tags":"a""#, &["a"]),
        (r#""flags":["all"]"#, &[]),
    ] {
        assert_eq!(subscribe(keys).from_tags, tags, "{keys}");
    }
    assert!(subscribe(r#""flags":["all"]"#).all() && subscribe(r#""all":"all""#).all());
    assert!(!subscribe(r#""from-tag":"a""#).all());
    let siprec = subscribe(r#""to-tag":"t","flags":["siprec"]"#);
    assert!(siprec.options.has(Flag::Siprec) && siprec.to_tag == Some("t".into()));
    for (json, expected) in [
        (r#"{"command":"subscribe request"}"#, RequestError::NoCallId),
        (
            r#"{"command":"subscribe answer","call-id":"c","to-tag":"t"}"#,
            RequestError::NoSdp,
        ),
        (
            r#"{"command":"subscribe answer","call-id":"c","sdp":"v"}"#,
            RequestError::NoToTag,
        ),
        (
            r#"{"command":"unsubscribe","call-id":"c"}"#,
            RequestError::NoToTag,
        ),
    ] {
        assert_eq!(read(json).unwrap_err(), expected, "{json}");
    }
}

#[test]
fn other_commands_of_the_protocol_keep_their_keys() {
    for command in OtherCommand::ALL {
        let json = format!(r#"{{"command":"{command}","call-id":"c","all":"all"}}"#);
        let received = read(&json).unwrap();
        let Request::Other(other) = &received.request else {
            panic!("{command}")
        };
        assert_eq!((other.command, other.body.len()), (*command, 2));
        assert_eq!(received.request.call_id(), Some(&"c".into()));
        assert_eq!(
            Request::from_value(&received.request.to_value()).unwrap(),
            received
        );
    }
    let cli = read(r#"{"command":"CLI"}"#).unwrap().request;
    assert_eq!(cli.command(), "cli");
}

#[test]
fn commands_count_case() {
    for command in ["Offer", "OFFER", "block dtmf", "start-recording", "", "publishh"] {
        let error = read(&format!(r#"{{"command":"{command}"}}"#)).unwrap_err();
        assert_eq!(error, RequestError::UnrecognizedCommand(command.into()));
    }
}

#[test]
fn missing_keys_are_errors_in_the_order_of_the_texts() {
    for (json, expected) in [
        ("{}", RequestError::NoCommand),
        (r#"{"command":5}"#, RequestError::NoCommand),
        (r#"{"command":"offer"}"#, RequestError::NoSdp),
        (r#"{"command":"offer","sdp":""}"#, RequestError::NoSdp),
        (r#"{"command":"offer","sdp":"v"}"#, RequestError::NoCallId),
        (
            r#"{"command":"offer","sdp":"v","call-id":""}"#,
            RequestError::NoCallId,
        ),
        (
            r#"{"command":"offer","sdp":"v","call-id":"c"}"#,
            RequestError::NoFromTag,
        ),
        (
            r#"{"command":"answer","sdp":"v","call-id":"c","from-tag":"f"}"#,
            RequestError::NoToTag,
        ),
        (
            r#"{"command":"answer","sdp":"v","call-id":"c","from-tag":"f","to-tag":""}"#,
            RequestError::NoToTag,
        ),
        (r#"{"command":"delete"}"#, RequestError::NoCallId),
        (r#"{"command":"query"}"#, RequestError::NoCallId),
    ] {
        assert_eq!(read(json).unwrap_err(), expected, "{json}");
    }
    assert_eq!(
        Request::from_value(&Value::Integer(1)).unwrap_err(),
        RequestError::NoCommand
    );
}

#[test]
fn errors_answer_with_their_texts() {
    for (error, text) in [
        (RequestError::NoCommand, "Dictionary contains no key \"command\""),
        (
            RequestError::UnrecognizedCommand("x".into()),
            "Unrecognized command",
        ),
        (RequestError::NoSdp, "No SDP body in message"),
        (RequestError::NoCallId, "No call-id in message"),
        (RequestError::NoFromTag, "No from-tag in message"),
        (RequestError::NoToTag, "No to-tag in message"),
    ] {
        assert_eq!(
            error.reply(),
            Reply::Error {
                reason: error.reason()
            }
        );
        assert_eq!(error.reason().to_string(), text);
    }
}

#[test]
fn offer_may_lack_tags_but_its_own() {
    let received = read(r#"{"command":"offer","sdp":"v","call-id":"c","from-tag":"","to-tag":""}"#).unwrap();
    let Request::Offer(offer) = received.request else {
        panic!("an offer")
    };
    assert_eq!((offer.from_tag, offer.to_tag), ("".into(), None));
}

#[test]
fn call_ids_are_octets() {
    let body = b"d7:command5:query7:call-id5:a;\xff\0be";
    let value = crate::bencode::decode(body, &Limits::default()).unwrap();
    let received = Request::from_value(&value).unwrap();
    assert_eq!(received.request.call_id().unwrap().as_bytes(), b"a;\xff\0b");
}
