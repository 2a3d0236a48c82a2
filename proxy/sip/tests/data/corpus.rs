//! Every message of RFC 4475 and RFC 5118, and ten shapes seen in the field, with the verdict that each deserves.
//!
//! The messages are files beside this one; those with octets that no text editor keeps are built here.

use bytes::Bytes;
use viaduct_sip::{EssentialsError, HeaderName, ParseErrorKind, ValueError};

/// What becomes of a message.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Read, with these facts: start line, transaction branch and number of Vias, tags, CSeq, Max-Forwards, octets of
    /// the body.
    Good(&'static str),
    /// No message. The number is the answer that it gets, if any.
    Refused(ParseErrorKind, Option<u16>),
    /// A message that cannot be processed.
    Unusable(EssentialsError),
}

use Verdict::{Good, Refused, Unusable};

macro_rules! corpus {
    ($folder:literal: $($name:literal => $verdict:expr;)*) => {
        vec![$(($name, Bytes::from_static(include_bytes!(concat!($folder, "/", $name, ".sip"))), $verdict)),*]
    };
}

/// Name, octets and verdict.
pub(crate) type Case = (&'static str, Bytes, Verdict);

/// The 49 torture messages.
pub(crate) fn rfc4475() -> Vec<Case> {
    let mut cases = corpus! { "rfc4475":
        // 3.1.1 Valid messages
        "wsinv" => Good("INVITE sip:vivekg@chair-dnrc.example.com;unknownparam via=-/3 from=98asjd8 to=1918181833n 9 INVITE mf=68 body=150");
        "esc01" => Good("INVITE sip:sips%3Auser%40example.com@example.net via=z9hG4bKkdjuw/1 from=938 to=- 234234 INVITE mf=87 body=150");
        "escnull" => Good("REGISTER sip:example.com via=z9hG4bKkdjuw/1 from=839923423 to=- 14398234 REGISTER mf=70 body=0");
        "esc02" => Good("RE%47IST%45R sip:registrar.example.com via=z9hG4bK209%fzsnel234/1 from=f232jadfj23 to=- 29344 RE%47IST%45R mf=70 body=0");
        "lwsdisp" => Good("OPTIONS sip:user@example.com via=z9hG4bKkdjuw/1 from=323 to=- 60 OPTIONS mf=70 body=0");
        "longreq" => Good("INVITE sip:user@example.com via=-/34 from=12982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982424 to=- 3882340 INVITE mf=70 body=150");
        "dblreq" => Good("REGISTER sip:example.com via=z9hG4bKkdjuw23492/1 from=43251j3j324 to=- 8 REGISTER mf=8 body=0");
        "semiuri" => Good("OPTIONS sip:user;par=u%40example.net@example.com via=z9hG4bKkdjuw/1 from=33242 to=- 8 OPTIONS mf=3 body=0");
        "transports" => Good("OPTIONS sip:user@example.com via=z9hG4bKkdjuw/5 from=323 to=- 60 OPTIONS mf=70 body=0");
        "unreason" => Good("200 = 2**3 * 5**2 но сто девяносто девять - простое via=z9hG4bK1324923/1 from=11141343 to=2229 35 INVITE mf=- body=154");
        "noreason" => Good("100  via=z9hG4bK2398ndaoe/1 from=39ansfi3 to=902jndnke3 35 INVITE mf=- body=0");
        // 3.1.2 Invalid messages
        "badinv01" => Unusable(EssentialsError::Bad { name: HeaderName::Via, error: ValueError::BadParam });
        "clerr" => Refused(ParseErrorKind::BodyTruncated { declared: 9999, present: 154 }, Some(400));
        "ncl" => Refused(ParseErrorKind::BadContentLength, Some(400));
        "scalar02" => Unusable(EssentialsError::Bad { name: HeaderName::CSeq, error: ValueError::BadNumber });
        "scalarlg" => Unusable(EssentialsError::Bad { name: HeaderName::CSeq, error: ValueError::BadNumber });
        "quotbal" => Unusable(EssentialsError::Bad { name: HeaderName::To, error: ValueError::UnclosedQuote });
        "ltgtruri" => Refused(ParseErrorKind::BadRequestUri, Some(400));
        "lwsruri" => Refused(ParseErrorKind::BadRequestUri, Some(400));
        "lwsstart" => Refused(ParseErrorKind::BadStartLine, Some(400));
        "trws" => Refused(ParseErrorKind::BadStartLine, Some(400));
        // The next five may be refused or borne. They are borne here and their faults are there to see.
        "escruri" => Good("INVITE sip:user@example.com?Route=%3Csip:example.com%3E via=z9hG4bKkdjuw/1 from=341518 to=- 149209342 INVITE mf=7 body=150");
        "baddate" => Good("INVITE sip:user@example.com via=z9hG4bKkdjuw/1 from=2234923 to=- 1392934 INVITE mf=70 body=150");
        "regbadct" => Good("REGISTER sip:example.com via=z9hG4bKkdjuw/1 from=998332 to=- 1 REGISTER mf=70 body=0");
        "badaspec" => Good("OPTIONS sip:user@example.org via=z9hG4bKkdju43234/1 from=433423 to=- 3923239 OPTIONS mf=70 body=0");
        "baddn" => Good("OPTIONS sip:t.watson@example.org via=z9hG4bKkdjuw/1 from=43 to=- 3923239 OPTIONS mf=70 body=0");
        "badvers" => Refused(ParseErrorKind::UnsupportedVersion, Some(505));
        "mismatch01" => Unusable(EssentialsError::MethodMismatch);
        "mismatch02" => Unusable(EssentialsError::MethodMismatch);
        "bigcode" => Refused(ParseErrorKind::BadStatusCode, None);
        // 3.2 Transaction layer
        "badbranch" => Good("OPTIONS sip:user@example.com via=-/1 from=33242 to=- 8 OPTIONS mf=3 body=0");
        // 3.3 Application layer
        "insuf" => Unusable(EssentialsError::Missing(HeaderName::From));
        "unkscm" => Good("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent via=z9hG4bKkdjuw39234/1 from=384 to=- 3923423 OPTIONS mf=3 body=0");
        "novelsc" => Good("OPTIONS soap.beep://192.0.2.103:3002 via=z9hG4bKkdjuw39234/1 from=384 to=- 3923423 OPTIONS mf=3 body=0");
        "unksm2" => Good("REGISTER sip:example.com via=z9hG4bKkdjuw/1 from=3234233 to=- 234902 REGISTER mf=70 body=0");
        "bext01" => Good("OPTIONS sip:user@example.com via=z9hG4bKkdjuw/1 from=242etr to=- 8 OPTIONS mf=6 body=0");
        "invut" => Good("INVITE sip:user@example.com via=z9hG4bKkdjuw/1 from=8392034 to=- 235448 INVITE mf=70 body=40");
        "regaut01" => Good("REGISTER sip:example.com via=z9hG4bKkdjuw/1 from=87321hj23128 to=- 9338 REGISTER mf=8 body=0");
        "multi01" => Refused(ParseErrorKind::HeaderRepeated(HeaderName::CSeq), Some(400));
        "mcl01" => Refused(ParseErrorKind::HeaderRepeated(HeaderName::ContentLength), Some(400));
        "bcast" => Good("200 OK via=z9hG4bK1324923/2 from=11141343 to=2229 35 INVITE mf=- body=154");
        "zeromf" => Good("OPTIONS sip:user@example.com via=z9hG4bKkdjuw2349i/1 from=3ghsd41 to=- 39234321 OPTIONS mf=0 body=0");
        "cparam01" => Good("REGISTER sip:example.com via=z9hG4bKkdjuw/1 from=DkfVgjkrtMwaerKKpe to=- 2 REGISTER mf=70 body=0");
        "cparam02" => Good("REGISTER sip:example.com via=z9hG4bKkdjuw/1 from=838293 to=- 3 REGISTER mf=70 body=0");
        "regescrt" => Good("REGISTER sip:example.com via=z9hG4bKkdjuw/1 from=8 to=- 14398234 REGISTER mf=70 body=0");
        "sdp01" => Good("INVITE sip:user@example.com via=z9hG4bKkdjuw/1 from=234 to=- 8 INVITE mf=5 body=150");
        // 3.4 Backward compatibility
        "inv2543" => Good("INVITE sip:UserB@example.com via=-/1 from=- to=- 56 INVITE mf=- body=105");
    };
    cases.push((
        "intmeth",
        intmeth(),
        Good(
            "!interesting-Method0123456789_*+`.%indeed'~ \
             sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com \
             via=z9hG4bK-.!%66*_+`'~/1 from=_token~1'+`*%!-. to=- 139122385 !interesting-Method0123456789_*+`.%indeed'~ \
             mf=255 body=0",
        ),
    ));
    cases.push((
        "mpart01",
        mpart01(),
        Good(
            "MESSAGE sip:kumiko@example.org via=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-/1 from=2fb0dcc9 to=- 1 MESSAGE \
             mf=70 body=475",
        ),
    ));
    cases
}

/// The torture messages for IPv6, both of those that come in pairs.
pub(crate) fn rfc5118() -> Vec<Case> {
    corpus! { "rfc5118":
        "ipv6-good" => Good("REGISTER sip:[2001:db8::10] via=z9hG4bKas3-111/1 from=81x2 to=- 98176 REGISTER mf=70 body=0");
        // Syntactically a request line; the Request-URI is where it breaks.
        "ipv6-bad" => Good("REGISTER sip:2001:db8::10 via=z9hG4bKas3-111/1 from=81x2 to=- 98176 REGISTER mf=70 body=0");
        "port-ambiguous" => Good("REGISTER sip:[2001:db8::10:5070] via=z9hG4bKas3-111/1 from=81x2 to=- 98176 REGISTER mf=70 body=0");
        "port-unambiguous" => Good("REGISTER sip:[2001:db8::10]:5070 via=z9hG4bKas3-111/1 from=81x2 to=- 98176 REGISTER mf=70 body=0");
        "via-received-param-with-delim" => Good("BYE sip:[2001:db8::10] via=z9hG4bKas3-111/1 from=81x2 to=bd76ya 321 BYE mf=70 body=0");
        "via-received-param-no-delim" => Good("OPTIONS sip:[2001:db8::10] via=z9hG4bKas3-111/1 from=81x2 to=bd76ya 921 OPTIONS mf=70 body=0");
        "ipv6-in-sdp" => Good("INVITE sip:user@[2001:db8::10] via=z9hG4bKas3-111/1 from=81x2 to=- 8912 INVITE mf=70 body=251");
        "mult-ip-in-header" => Good("BYE sip:user@host.example.net via=z9hG4bKas3-111/3 from=81x2 to=9817--94 89187 BYE mf=70 body=0");
        "mult-ip-in-sdp" => Good("INVITE sip:user@[2001:db8::10] via=z9hG4bKas3-111/1 from=81x2 to=- 8912 INVITE mf=70 body=189");
        "ipv4-mapped-ipv6" => Good("INVITE sip:user@example.com via=z9hG4bKbh19/2 from=81x2 to=- 612 INVITE mf=70 body=245");
        "ipv6-bug-abnf-3-colons" => Good("OPTIONS sip:user@[2001:db8:::192.0.2.1] via=z9hG4bKas3-111/1 from=810x2 to=- 689 OPTIONS mf=70 body=0");
        "ipv6-correct-abnf-2-colons" => Good("OPTIONS sip:user@[2001:db8::192.0.2.1] via=z9hG4bKas3-111/1 from=810x2 to=- 689 OPTIONS mf=70 body=0");
    }
}

/// Shapes that phones, browsers and servers send.
pub(crate) fn field() -> Vec<Case> {
    corpus! { "field":
        "jssip-invite" => Good("INVITE sip:1001@pbx.example.com via=z9hG4bK4413903/1 from=tq8v5c2i1o to=- 4213 INVITE mf=69 body=568");
        "jssip-register" => Good("REGISTER sip:pbx.example.com via=z9hG4bK8850121/1 from=mkp0lm4d9s to=- 2 REGISTER mf=69 body=0");
        "sipjs-ack" => Good("ACK sip:1001@192.0.2.44:5062;transport=udp via=z9hG4bK2105933/1 from=0lk2jrs8bv to=as58f4201b 1 ACK mf=70 body=0");
        "yealink-invite" => Good("INVITE sip:anna@pbx.example.com:5060 via=z9hG4bK2364021158/1 from=1427891245 to=- 2 INVITE mf=70 body=218");
        "cisco-compact" => Good("INVITE tel:+1-408-555-0100;phone-context=example.com via=z9hG4bK1c9ff3a2/2 from=1ce6c7f0a1b2 to=- 101 INVITE mf=70 body=0");
        "ok-joined-vias" => Good("200 OK via=z9hG4bKp1/2 from=tq8v5c2i1o to=B4E7F2A0-1C 4213 INVITE mf=- body=0");
        "notify-utf8" => Good("NOTIFY sip:anna@203.0.113.9:51820;transport=tcp via=z9hG4bKn0t1fy/1 from=9a7 to=77c 17 NOTIFY mf=70 body=91");
        "gruu-refer" => Good("REFER sip:ben@pbx.example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6 via=z9hG4bKre.fer/1 from=88a to=99b 93809823 REFER mf=70 body=0");
        "latin1-message" => Good("MESSAGE sip:anna@pbx.example.com via=z9hG4bKlat1n/1 from=l1 to=- 5 MESSAGE mf=70 body=6");
        "no-content-length" => Good("OPTIONS sip:198.51.100.7 via=z9hG4bKnocl/1 from=uloc-1-5f-2 to=- 1 OPTIONS mf=- body=20");
    }
}

/// 3.1.1.2: every unusual character that the grammar allows, quoted control characters among them.
fn intmeth() -> Bytes {
    let mut octets = Vec::new();
    for line in [
        &b"!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,\
           weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0"[..],
        b"Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
        b"To: \"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>",
        "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";\
         tag=_token~1'+`*%!-."
            .as_bytes(),
        b"Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
        b"CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~",
        b"Max-Forwards: 255",
        "extensionHeader-!.%*+_`'~:\u{feff}大停電".as_bytes(),
        b"Content-Length: 0",
        b"",
    ] {
        octets.extend_from_slice(line);
        octets.extend_from_slice(b"\r\n");
    }
    Bytes::from(octets)
}

/// 3.1.1.11: a multipart body whose second part is binary, with NULs and line ends.
fn mpart01() -> Bytes {
    let mut body = b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nHello\r\n\
        --7a9cbec02ceef655\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        .to_vec();
    body.extend((0..=u8::MAX).chain(*b"\r\n\r\n\0\0\r\n"));
    body.extend_from_slice(b"\r\n--7a9cbec02ceef655--\r\n");
    let head = format!(
        "MESSAGE sip:kumiko@example.org SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport\r\n\
         Max-Forwards: 70\r\nRoute: <sip:127.0.0.1:5080>\r\n\
         Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK0YWVKZhKv9Mj8UeXqkMVbnVq37CD+813gvYjcBUaZngQmXc9\
         WNZSDNGCzA+fWl9MEUHWIZo1CeJebdY/XlgKeTa0Olvq0rt70Q5jiSfbqMJmQFteeivUhkMWYUA=\r\n\
         Contact: <sip:fluffy@127.0.0.1:5070>\r\nTo: <sip:kumiko@example.org>\r\n\
         From: <sip:fluffy@example.com>;tag=2fb0dcc9\r\n\
         Call-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..\r\nCSeq: 1 MESSAGE\r\n\
         Content-Transfer-Encoding: binary\r\nContent-Type: multipart/mixed;boundary=7a9cbec02ceef655\r\n\
         Date: Sat, 15 Oct 2005 04:44:56 GMT\r\nUser-Agent: SIPimp.org/0.2.5 (curses)\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Bytes::from([head.into_bytes(), body].concat())
}

/// All of them.
pub(crate) fn corpus() -> Vec<Case> {
    [rfc4475(), rfc5118(), field()].into_iter().flatten().collect()
}
